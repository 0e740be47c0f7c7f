// Shared by the pages about products.

import { get } from "./api.js";
import * as basket from "./basket.js";
import { notify, suggest } from "./dom.js";
import { formatNumber, text } from "./text.js";

const fields = ["name", "description", "category", "slogan", "price", "stock"];
const numeric = ["price", "stock"];

export const mayChange = (user, product) => user.role === "admin" || user.sid === product.owner_sid;

// productValues returns the fields of a product's form as the API's JSON has them.
export function productValues(form) {
  return Object.fromEntries(fields.map((name) => {
    const { value } = form.elements.namedItem(name);
    return [name, numeric.includes(name) ? Number(value) : value.trim()];
  }));
}

export function putProductValues(form, product) {
  for (const name of fields) {
    form.elements.namedItem(name).value = numeric.includes(name) ? String(product[name]) : product[name];
  }
}

// offerCategories adds the existing categories to lists. Pages work without them.
export async function offerCategories(...lists) {
  try {
    const { categories } = await get("/categories");
    lists.forEach((list) => suggest(list, categories));
  } catch (error) {
    console.info(error);
  }
}

export function stockText(product) {
  return product.stock === 0 ? text("product.sold_out") : text("product.in_stock", { count: formatNumber(product.stock) });
}

// putPicture shows the first URL that is set, or else the first letter of the product's name.
export function putPicture(img, product, address) {
  const frame = img.parentElement;
  img.hidden = address === undefined;
  if (address === undefined) {
    img.removeAttribute("src");
    frame.dataset.letter = Array.from(product.name)[0];
  } else {
    img.src = address;
    delete frame.dataset.letter;
  }
}

export function addToBasket(product, quantity) {
  const words = text(basket.add(product.id, quantity) ?? "basket.added", { name: product.name });
  notify(words, { href: "/basket", text: text("basket.look") });
}
