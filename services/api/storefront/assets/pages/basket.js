import { get, send } from "../api.js";
import * as basket from "../basket.js";
import { byID, clone, fill, notifyNext, part, put } from "../dom.js";
import { onSubmit } from "../form.js";
import { start } from "../page.js";
import { Problem } from "../problem.js";
import { putPicture } from "../product.js";
import { formatPrice, text } from "../text.js";

// The entries on the page by product id: { product, element }. product is null if it was deleted.
const shown = new Map();

start("member", async () => {
  await showBasket();
  basket.onChangeElsewhere(() => location.reload());
  onSubmit(byID("checkout"), checkOut);
  byID("start-anew").addEventListener("click", () => {
    basket.forgetCheckout();
    showSums();
    byID("main").focus();
  });
});

async function showBasket() {
  const lines = basket.lines();
  const products = await Promise.all(lines.map((line) => readProduct(line.product_id)));
  lines.forEach((line, i) => {
    const element = showLine(line, products[i]);
    shown.set(line.product_id, { product: products[i], element });
    byID("lines").append(element);
  });
  byID("loading").hidden = true;
  showSums();
}

async function readProduct(id) {
  try {
    return await get(`/products/${id}`);
  } catch (error) {
    if (error.status === 404) {
      return null;
    }
    throw error;
  }
}

function showLine(line, product) {
  const element = clone("basket-line");
  const name = product?.name ?? text("basket.gone_name", { id: line.product_id });
  fill(element, { name, price: product === null ? "" : formatPrice(product.price) });
  if (product !== null) {
    part(element, "name").href = `/products/${product.id}`;
    putPicture(part(element, "picture"), product, product.images?.thumbnail ?? product.image_url);
  }
  const quantity = part(element, "quantity");
  quantity.id = `quantity-${line.product_id}`;
  quantity.value = line.quantity;
  quantity.setAttribute("aria-label", text("basket.quantity_of", { name }));
  part(element, "label").htmlFor = quantity.id;
  quantity.addEventListener("change", () => {
    if (quantity.validity.valid) {
      basket.setQuantity(line.product_id, Number(quantity.value));
      showSums();
    }
  });
  const remove = part(element, "remove");
  remove.setAttribute("aria-label", text("basket.remove_this", { name }));
  remove.addEventListener("click", () => {
    const neighbour = element.nextElementSibling ?? element.previousElementSibling;
    basket.setQuantity(line.product_id, 0);
    shown.delete(line.product_id);
    element.remove();
    showSums();
    (neighbour?.querySelector("input") ?? byID("main")).focus();
  });
  return element;
}

// showSums computes in fen, as binary fractions would make sums inexact.
function showSums() {
  let total = 0;
  for (const { product_id: id, quantity } of basket.lines()) {
    const entry = shown.get(id);
    if (entry === undefined) { // added in another tab; this page will reload
      continue;
    }
    const sum = entry.product === null ? 0 : Math.round(entry.product.price * 100) * quantity;
    total += sum;
    fill(entry.element, { sum: formatPrice(sum / 100) });
    put(part(entry.element, "trouble"), troubleWith(entry.product, quantity));
  }
  byID("total").textContent = formatPrice(total / 100);
  byID("empty").hidden = shown.size > 0;
  byID("checkout").hidden = shown.size === 0;
  showLock();
}

// showLock explains why the basket cannot be changed, and what to do: retry the order while its key is
// valid, or check the orders and start again.
function showLock() {
  const outdated = basket.isOutdated();
  byID("unanswered").hidden = !basket.isUnanswered();
  byID("unanswered-words").textContent = text(outdated ? "basket.outdated" : "basket.unanswered");
  byID("order").disabled = outdated;
  lockLines(basket.isUnanswered());
}

function lockLines(locked) {
  for (const control of byID("lines").querySelectorAll("input, button")) {
    control.disabled = locked;
  }
}

function troubleWith(product, quantity) {
  if (product === null) {
    return text("basket.gone");
  }
  if (product.stock >= quantity) {
    return "";
  }
  return product.stock === 0 ? text("basket.sold_out") : text("basket.too_many", { count: product.stock });
}

async function checkOut() {
  if (basket.isOutdated()) { // since the page was opened
    showSums();
    return;
  }
  const { lines, key } = basket.beginCheckout();
  lockLines(true);
  let order;
  try {
    order = await send("POST", "/orders", { body: { items: lines }, headers: { "Idempotency-Key": key } });
  } catch (error) {
    if (isFinal(error)) {
      basket.forgetCheckout();
      await lookAgain();
    }
    showSums();
    throw error;
  }
  basket.bought(lines);
  const replayed = order.headers.get("Idempotent-Replayed") === "true";
  notifyNext(text(replayed ? "basket.placed_before" : "basket.placed", { id: order.data.id }));
  location.assign("/orders");
}

// isFinal reports whether the store rejected the order, which a retry with the same key would repeat.
// Other errors, such as a proxy's, do not tell whether the order was placed.
function isFinal(error) {
  return error instanceof Problem && !error.unanswered && ![401, 408, 429].includes(error.status) &&
    !["idempotency_key_in_flight", "unexpected", "unknown"].includes(error.code);
}

// lookAgain reloads the stock, and shows at each line if it is short.
async function lookAgain() {
  await Promise.all(Array.from(shown, async ([id, entry]) => {
    entry.product = await readProduct(id);
  }));
}
