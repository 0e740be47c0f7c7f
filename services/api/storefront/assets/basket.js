// The basket is stored in the browser: product ids and quantities. Prices and names come from the API.

const maxLines = 50;
const maxQuantity = 10000;
const hour = 60 * 60 * 1000; // milliseconds
const repeatable = 23 * hour; // the store knows the key of an order for 24 hours

let storageKey = "merchstore.basket";

// openFor selects the basket of the user: a browser may be shared, and idempotency keys belong to an
// account.
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
    // missing or malformed
  }
  return { lines: [] };
}

// write also notifies this page: the event "storage" reaches only the other tabs.
function write(basket) {
  localStorage.setItem(storageKey, JSON.stringify(basket));
  window.dispatchEvent(new Event("basket"));
}

export const lines = () => read().lines;
export const count = () => lines().reduce((sum, line) => sum + line.quantity, 0);

// onChange registers a callback for changes of the basket, in this tab or another.
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

// setQuantity changes the basket, and so the order it will become. It does nothing during a checkout
// without a response: the key cannot be used for another order, and without it the first order might
// be placed twice.
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

// add adds a product to the basket. It returns the key of an error text, or null.
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

// beginCheckout returns the lines and their idempotency key. The key is kept until the response is
// known, so that a retry after a lost response, even on a reopened page, does not order twice.
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

// isOutdated reports whether the store may have deleted the key, so that a retry could order again.
export function isOutdated() {
  const { key, made } = read();
  return key !== undefined && !(Date.now() - made < repeatable);
}

// forgetCheckout drops the key after the order was rejected, or the user has checked their orders.
export function forgetCheckout() {
  write({ lines: lines() });
}

// bought removes what was ordered, but not what another tab has added meanwhile.
export function bought(ordered) {
  const left = lines().map((line) => {
    const taken = ordered.find((o) => o.product_id === line.product_id)?.quantity ?? 0;
    return { ...line, quantity: line.quantity - taken };
  });
  write({ lines: left.filter((line) => line.quantity > 0) });
}

// crypto.randomUUID is not available over plain HTTP.
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
