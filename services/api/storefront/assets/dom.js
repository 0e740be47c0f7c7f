// Pages are built from their own <template>s and from text. User input is never parsed as HTML.

import { text, translate } from "./text.js";

export const byID = (id) => document.getElementById(id);
export const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

// clone returns a copy of a <template>'s content, in the page's language.
export function clone(id) {
  const copy = byID(id).content.cloneNode(true).firstElementChild;
  translate(copy);
  return copy;
}

// fill sets the text of the parts with the given names.
export function fill(root, texts) {
  for (const [name, words] of Object.entries(texts)) {
    part(root, name).textContent = words;
  }
}

// put sets the text of an element, which is hidden while it is empty.
export function put(element, words) {
  element.textContent = words;
  element.hidden = words === "";
}

// suggest adds words, without duplicates, to the suggestions of an input or the options of a select.
export function suggest(list, words) {
  const known = new Set(Array.from(list.options, (option) => option.value));
  for (const word of words) {
    if (word !== "" && !known.has(word)) {
      known.add(word);
      list.append(new Option(word, word));
    }
  }
}

// notify shows a success message, until the next one or until it is closed.
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

// notifyNext shows the message on the next page.
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

// confirmed asks the user to confirm an irreversible action; action is the label of the button.
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
