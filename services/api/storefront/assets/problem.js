// Failed requests, and the messages that users see.

import { hasText, language, text } from "./text.js";

// Problem is an RFC 9457 problem. Its code is "network" if there was no response.
export class Problem extends Error {
  constructor({ status = 0, code = "unknown", detail = "", errors = [], request_id: requestID = "" }, retryAfter = 0) {
    super(detail || code);
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.fields = errors;
    this.requestID = requestID;
    this.retryAfter = retryAfter; // seconds; 0: nobody said
  }

  // Whether the request may have succeeded nevertheless.
  get unanswered() {
    return this.status === 0 || this.status >= 500;
  }
}

// describe returns what happened and what to do about it.
export function describe(error) {
  if (!(error instanceof Problem)) {
    console.error(error);
    return text("problem.unexpected");
  }
  const sentences = [hasText(`problem.${error.code}`) ? text(`problem.${error.code}`) : sentence(error.detail)];
  if (error.retryAfter > 1) {
    sentences.push(text("problem.retry", { seconds: error.retryAfter }));
  }
  if (error.status >= 500 && error.requestID !== "") {
    sentences.push(text("problem.request", { id: error.requestID }));
  }
  return sentences.join(language === "zh" ? "" : " ");
}

// sentence makes a sentence of an API message, which is written to follow a field's name or a colon.
export function sentence(words) {
  if (words === "") {
    return text("problem.unexpected");
  }
  const whole = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?。！？]$/.test(whole) ? whole : `${whole}.`;
}
