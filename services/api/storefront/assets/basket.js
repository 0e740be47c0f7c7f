// The basket is kept in the browser: which products, and how many of each. Prices and names are the store's to say.

const storageKey = "merchstore.basket";
const maxLines = 50;
export const maxQuantity = 10000;

function read() {
  try {
    const { lines, key } = JSON.parse(localStorage.getItem(storageKey));
    if (lines.every((line) => Number.isInteger(line.product_id) && Number.isInteger(line.quantity) && line.quantity > 0)) {
      return { lines, key };
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

// setQuantity makes another basket of it, which will be another order: the key of a checkout does not go with it.
export function setQuantity(productID, quantity) {
  const changed = lines();
  const line = changed.find((l) => l.product_id === productID);
  if (line === undefined) {
    changed.push({ product_id: productID, quantity });
  } else {
    line.quantity = quantity;
  }
  write({ lines: changed.filter((l) => l.quantity > 0) });
}

// add puts more of a product into the basket; false if it holds as many different ones as an order may have.
export function add(productID, quantity) {
  const present = lines();
  const line = present.find((l) => l.product_id === productID);
  if (line === undefined && present.length >= maxLines) {
    return false;
  }
  setQuantity(productID, Math.min((line?.quantity ?? 0) + quantity, maxQuantity));
  return true;
}

// beginCheckout gives the lines and their idempotency key. The key stays until the answer is known, so that whoever
// asks again after a lost answer, even after closing the page, does not buy twice.
export function beginCheckout() {
  const basket = read();
  basket.key ??= newKey();
  write(basket);
  return basket;
}

export const isUnanswered = () => read().key !== undefined;

// forgetCheckout is for a refusal: the next try is a new one, and may go better.
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
