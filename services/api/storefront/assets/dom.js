// Pages are built of their own <template>s and of text: nothing that a stranger wrote is ever read as HTML.

import { text, translate } from "./text.js";

export const byID = (id) => document.getElementById(id);
export const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

// clone copies what is in a <template>, in the page's language.
export function clone(id) {
  const copy = byID(id).content.cloneNode(true).firstElementChild;
  translate(copy);
  return copy;
}

// fill puts texts into the parts of those names.
export function fill(root, texts) {
  for (const [name, words] of Object.entries(texts)) {
    part(root, name).textContent = words;
  }
}

// put shows the words in an element that is hidden as long as it has none.
export function put(element, words) {
  element.textContent = words;
  element.hidden = words === "";
}

// suggest offers words that come up, once each, below an input that has the list.
export function suggest(list, words) {
  const known = new Set(Array.from(list.options, (option) => option.value));
  for (const word of words) {
    if (word !== "" && !known.has(word)) {
      known.add(word);
      list.append(new Option("", word));
    }
  }
}

// notify tells of something that has gone well, until the next or until it is closed.
export function notify(words, link) {
  const message = document.createElement("p");
  message.append(words);
  if (link !== undefined) {
    const a = document.createElement("a");
    a.href = link.href;
    a.textContent = link.text;
    message.append(" ", a);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.className = "link";
  close.textContent = text("notice.close");
  close.addEventListener("click", () => byID("notice").replaceChildren());
  byID("notice").replaceChildren(message, close);
}

const kept = "merchstore.notice";

// notifyNext leaves the message for the next page.
export function notifyNext(words) {
  sessionStorage.setItem(kept, words);
}

export function showKeptNotice() {
  const words = sessionStorage.getItem(kept);
  sessionStorage.removeItem(kept);
  if (words !== null) {
    notify(words);
  }
}

// confirmed asks before something that cannot be taken back; the action is the word on the button that does it.
export function confirmed(title, question, action) {
  const dialog = byID("confirm");
  byID("confirm-title").textContent = title;
  byID("confirm-question").textContent = question;
  byID("confirm-yes").textContent = action;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
