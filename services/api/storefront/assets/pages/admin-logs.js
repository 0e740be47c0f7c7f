import { get, loginPath } from "../api.js";
import { byID, clone, fill, part, put, suggest } from "../dom.js";
import { start } from "../page.js";
import { describe } from "../problem.js";
import { formatClock, formatNumber, text } from "../text.js";

const maxLines = 500;
const firstLines = 200;
const firstWait = 1000; // milliseconds, as is longestWait
const longestWait = 30000;

let source, retry;
let wait = firstWait;
let paused = false;
// Messages that are not on the page yet, and the ids of recent ones: one may be delivered twice.
let waiting = [];
let seen = new Set();

start("admin", () => {
  const form = byID("filter");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    forget();
    connect();
  });
  byID("pause").addEventListener("click", () => {
    paused = !paused;
    byID("pause").textContent = text(paused ? "logs.resume" : "logs.pause");
    flush();
    showHeldBack();
  });
  connect();
});

function forget() {
  byID("log-lines").replaceChildren();
  waiting = [];
  seen = new Set();
}

function connect() {
  clearTimeout(retry);
  source?.close();
  const filled = Array.from(new FormData(byID("filter"))).filter(([, value]) => value !== "");
  if (!byID("from-beginning").checked) {
    filled.push(["last", firstLines]); // after a reconnect, they fill the gap
  }
  source = new EventSource(`/api/v1/logs?${new URLSearchParams(filled)}`);
  source.addEventListener("open", () => {
    wait = firstWait;
    if (byID("from-beginning").checked) {
      forget(); // after a reconnect, the log starts from the beginning
    }
    showState();
  });
  source.addEventListener("message", (event) => take(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    showState();
    if (source.readyState === EventSource.CLOSED) { // browsers do not retry after an error status
      retry = setTimeout(reconnect, wait);
      wait = Math.min(wait * 2, longestWait);
    }
  });
  showState();
}

// reconnect checks the session first: an EventSource does not report why it failed.
async function reconnect() {
  try {
    const { user } = await get("/session");
    if (user === null) {
      location.assign(loginPath());
      return;
    }
    connect();
  } catch (error) {
    byID("stream-state").textContent = describe(error);
    retry = setTimeout(reconnect, wait);
    wait = Math.min(wait * 2, longestWait);
  }
}

function showState() {
  byID("stream-state").textContent = text(source.readyState === EventSource.OPEN ? "logs.open" : "logs.connecting");
}

// showHeldBack is not announced to screen readers: there would be no end.
function showHeldBack() {
  byID("held-back").textContent = paused ? text("logs.paused", { count: formatNumber(waiting.length) }) : "";
}

function take(message) {
  if (message.id !== "") { // other programs may have written to the topic, without ids
    if (seen.has(message.id)) {
      return;
    }
    seen.add(message.id);
  }
  if (seen.size > 2 * maxLines) {
    seen = new Set(Array.from(seen).slice(-maxLines));
  }
  waiting.push(message);
  if (waiting.length > maxLines) {
    waiting.shift();
  }
  if (paused) {
    showHeldBack();
  } else if (waiting.length === 1) {
    setTimeout(flush, 100); // batches bursts of lines
  }
}

function flush() {
  if (paused) {
    return;
  }
  const log = byID("log");
  const list = byID("log-lines");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  list.append(...waiting.map(showMessage));
  suggest(byID("services"), waiting.map((message) => message.service));
  waiting = [];
  while (list.childElementCount > maxLines) {
    list.firstElementChild.remove();
  }
  if (atEnd) {
    log.scrollTop = log.scrollHeight;
  }
}

function showMessage(message) {
  const line = clone("log-line");
  fill(line, { time: formatClock(message.time), level: message.level, service: message.service, text: message.text });
  part(line, "time").dateTime = message.time;
  part(line, "level").dataset.level = message.level.toLowerCase();
  put(part(line, "request"), message.request_id ?? "");
  return line;
}
