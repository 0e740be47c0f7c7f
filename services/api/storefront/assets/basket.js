// The basket is kept in the browser: which products, and how many of each. Prices and names are the store's to say.

const maxLines = 50;
const maxQuantity = 10000;
const hour = 60 * 60 * 1000; // milliseconds
const repeatable = 23 * hour; // the store knows the key of an order for 24 hours

let storageKey = "merchstore.basket";

// openFor chooses the basket of who is logged in: a browser may be shared, and the key of a checkout is the account's.
export function openFor(sid) {
  storageKey = `merchstore.basket.${sid}`;
}

export function throwAway() {
  localStorage.removeItem(storageKey);
}

function read() {
  try {
    const { lines, key, made } = JSON.parse(localStorage.getItem(storageKey));
    if (lines.every((line) => Number.isInteger(line.product_id) && Number.isInteger(line.quantity) && line.quantity > 0)) {
      return { lines, key, made };
    }
  } catch {
    // Nothing there, or nothing of ours.
  }
  return { lines: [] };
}

// write tells this page too: the event "storage" reaches the other ones only.
function write(basket) {
  localStorage.setItem(storageKey, JSON.stringify(basket));
  window.dispatchEvent(new Event("basket"));
}

export const lines = () => read().lines;
export const count = () => lines().reduce((sum, line) => sum + line.quantity, 0);

// onChange calls back when the basket changes, here or in another tab.
export function onChange(callback) {
  window.addEventListener("basket", callback);
  onChangeElsewhere(callback);
}

export function onChangeElsewhere(callback) {
  window.addEventListener("storage", (event) => {
    if (event.key === storageKey || event.key === null) { // null: everything was cleared
      callback();
    }
  });
}

// setQuantity makes another basket of it, which will be another order. As long as a checkout has no answer, it does
// nothing: the key cannot go with another order, and without the key the first one might be bought twice.
export function setQuantity(productID, quantity) {
  if (isUnanswered()) {
    return;
  }
  const changed = lines();
  const line = changed.find((l) => l.product_id === productID);
  if (line === undefined) {
    changed.push({ product_id: productID, quantity });
  } else {
    line.quantity = quantity;
  }
  write({ lines: changed.filter((l) => l.quantity > 0) });
}

// add puts more of a product into the basket. It returns the key of the text that says why not, or null.
export function add(productID, quantity) {
  const present = lines();
  const line = present.find((l) => l.product_id === productID);
  const full = line === undefined && present.length >= maxLines;
  const refusal = isUnanswered() ? "basket.locked" : full ? "basket.full" : null;
  if (refusal === null) {
    setQuantity(productID, Math.min((line?.quantity ?? 0) + quantity, maxQuantity));
  }
  return refusal;
}

// beginCheckout gives the lines and their idempotency key. The key stays until the answer is known, so that whoever
// asks again after a lost answer, even after closing the page, does not buy twice.
export function beginCheckout() {
  const basket = read();
  if (basket.key === undefined) {
    basket.key = newKey();
    basket.made = Date.now();
  }
  write(basket);
  return basket;
}

export const isUnanswered = () => read().key !== undefined;

// isOutdated tells whether the store may have forgotten the key: to ask again would perhaps be to buy again.
export function isOutdated() {
  const { key, made } = read();
  return key !== undefined && !(Date.now() - made < repeatable);
}

// forgetCheckout is for a refusal, or for a person who has looked: the next try is a new one, and may go better.
export function forgetCheckout() {
  write({ lines: lines() });
}

// bought takes out what was ordered. What another tab has put in meanwhile stays.
export function bought(ordered) {
  const left = lines().map((line) => {
    const taken = ordered.find((o) => o.product_id === line.product_id)?.quantity ?? 0;
    return { ...line, quantity: line.quantity - taken };
  });
  write({ lines: left.filter((line) => line.quantity > 0) });
}

// crypto.randomUUID is not there on a page that came over plain HTTP.
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
