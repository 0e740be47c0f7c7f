// Client of the store's REST API. The session is an HttpOnly cookie that the browser sends.

import { Problem } from "./problem.js";

const root = "/api/v1";
const needLogin = ["unauthenticated", "invalid_token", "account_deactivated"];

// send calls the API; path is relative to its root. It resolves to { data, headers }, or throws a Problem.
export async function send(method, path, { body, headers } = {}) {
  const init = { method, credentials: "same-origin", cache: "no-store", headers: { Accept: "application/json", ...headers } };
  if (body !== undefined) {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let response, said;
  try {
    response = await fetch(root + path, init);
    said = await response.text();
  } catch {
    throw new Problem({ code: "network" });
  }
  return answer(response.status, response.headers, said);
}

export const get = async (path) => (await send("GET", path)).data;
export const post = async (path, body) => (await send("POST", path, { body })).data;
export const patch = async (path, body) => (await send("PATCH", path, { body })).data;
export const del = async (path) => (await send("DELETE", path)).data;

// upload sends a form or a file. It calls progress with the fraction that was sent, which fetch does
// not report.
export function upload(method, path, body, { headers = {}, progress = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, root + path);
    request.setRequestHeader("Accept", "application/json");
    for (const [name, value] of Object.entries(headers)) {
      request.setRequestHeader(name, value);
    }
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) {
        progress(event.loaded / event.total);
      }
    });
    request.addEventListener("error", () => reject(new Problem({ code: "network" })));
    request.addEventListener("load", () => {
      const received = new Headers();
      for (const name of ["ETag", "Retry-After"]) {
        received.set(name, request.getResponseHeader(name) ?? "");
      }
      try {
        resolve(answer(request.status, received, request.responseText));
      } catch (error) { // thrown in here, it would reach nobody
        reject(error);
      }
    });
    request.send(body);
  });
}

function answer(status, headers, said) {
  if (status >= 200 && status < 300) {
    return { data: said === "" ? null : JSON.parse(said), headers };
  }
  const problem = problemOf(status, Number(headers.get("Retry-After")), said);
  if (status === 401 && needLogin.includes(problem.code) && location.pathname !== "/login") {
    location.assign(loginPath());
    return new Promise(() => {}); // nothing more happens on a page that is being left
  }
  throw problem;
}

// problemOf also handles responses that are not the store's own, such as those of a proxy.
function problemOf(status, retryAfter, said) {
  let details = {};
  try {
    details = JSON.parse(said);
  } catch {
    details = { code: status === 413 ? "body_too_large" : status >= 500 ? "unavailable" : "unexpected" };
  }
  return new Problem({ ...details, status }, retryAfter);
}

// loginPath returns the path of the login page, which redirects back here.
export function loginPath() {
  return `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
}
