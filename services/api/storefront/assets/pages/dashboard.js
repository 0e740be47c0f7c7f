import { del, post, upload } from "../api.js";
import { byID, clone, confirmed, fill, notify, part, put, suggest } from "../dom.js";
import { onClick, onSubmit } from "../form.js";
import { pagedList } from "../list.js";
import { showProblem, start } from "../page.js";
import { setUpPicture, withProgress } from "../picture.js";
import { addToBasket, mayChange, offerCategories, productValues, putPicture, stockText } from "../product.js";
import { formatPrice, text } from "../text.js";

const typingPause = 250; // milliseconds

start("member", async (user) => {
  setUpAdding(user);
  const begin = pagedList(byID("products"), {
    name: "products", empty: "dashboard.empty", render: (product) => showProduct(product, user),
  });
  await Promise.all([setUpSearch(begin), offerCategories(byID("in-category"), byID("categories"))]);
});

// setUpSearch stores the search in the page's URL, so that it can be bookmarked and shared.
function setUpSearch(begin) {
  const form = byID("search");
  const { q, category } = form.elements;
  const asked = new URLSearchParams(location.search);
  q.value = asked.get("q") ?? "";
  suggest(category, [asked.get("category") ?? ""]);
  category.value = asked.get("category") ?? "";

  let timer;
  const find = () => {
    clearTimeout(timer);
    const filled = [["q", q.value.trim()], ["category", category.value.trim()]].filter(([, value]) => value !== "");
    const query = filled.length === 0 ? "" : `?${new URLSearchParams(filled)}`;
    history.replaceState(null, "", location.pathname + query);
    return begin(`/products${query}`);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    find();
  });
  category.addEventListener("change", find);
  const findSoon = (event) => {
    clearTimeout(timer);
    if (!event.isComposing) { // a Chinese word is typed in several steps
      timer = setTimeout(find, typingPause);
    }
  };
  q.addEventListener("input", findSoon);
  q.addEventListener("compositionend", findSoon);
  return find();
}

function showProduct(product, user) {
  byID(`product-${product.id}`)?.remove(); // a new product appears again with its page of the list
  const card = clone("product-card");
  card.id = `product-${product.id}`;
  const soldOut = product.stock === 0;
  fill(card, {
    name: product.name, slogan: product.slogan, price: formatPrice(product.price), stock: soldOut ? "" : stockText(product),
  });
  part(card, "sold-out").hidden = !soldOut;
  card.classList.toggle("sold-out", soldOut);
  const path = `/products/${product.id}`;
  part(card, "name").href = path;
  putPicture(part(card, "picture"), product, product.images?.card ?? product.image_url);
  suggest(byID("categories"), [product.category]);
  suggest(byID("in-category"), [product.category]);

  const buy = part(card, "buy");
  buy.hidden = soldOut;
  buy.setAttribute("aria-label", text("product.buy_this", { name: product.name }));
  buy.addEventListener("click", () => addToBasket(product, 1));
  if (mayChange(user, product)) {
    setUpOwner(card, product, path);
  }
  return card;
}

function setUpOwner(card, product, path) {
  const edit = part(card, "edit");
  edit.href = `${path}#edit`;
  edit.setAttribute("aria-label", text("product.edit_this", { name: product.name }));
  const remove = part(card, "delete");
  remove.setAttribute("aria-label", text("product.delete_this", { name: product.name }));
  onClick(remove, async () => {
    const title = text("product.delete_this", { name: product.name });
    if (!await confirmed(title, text("edit.delete_hint"), text("product.delete"))) {
      return;
    }
    await del(path);
    const neighbour = card.nextElementSibling ?? card.previousElementSibling;
    card.remove();
    (neighbour?.querySelector("a") ?? byID("main")).focus();
    notify(text("product.deleted", { name: product.name }));
  }, showProblem);
  edit.hidden = remove.hidden = false;
}

function setUpAdding(user) {
  const form = byID("add-form");
  setUpPicture(form);
  onSubmit(form, async () => {
    const product = await addProduct(productValues(form), form.elements.image.files[0]);
    put(byID("list-empty"), "");
    byID("products").prepend(showProduct(product, user));
    form.reset();
    byID("add").open = false;
    byID("add").querySelector("summary").focus();
    notify(text("dashboard.added", { name: product.name }), { href: `/products/${product.id}`, text: text("dashboard.look") });
  });
}

async function addProduct(values, picture) {
  if (picture === undefined) {
    return post("/products", values);
  }
  const data = new FormData();
  for (const [name, value] of Object.entries(values)) {
    data.set(name, value);
  }
  data.set("image", picture);
  return (await withProgress((progress) => upload("POST", "/products", data, { progress }))).data;
}
