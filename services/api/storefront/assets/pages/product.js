import { send, upload } from "../api.js";
import { byID, confirmed, notify, notifyNext, put } from "../dom.js";
import { onClick, onSubmit, showError, showFormError } from "../form.js";
import { start } from "../page.js";
import { setUpPicture, withProgress } from "../picture.js";
import { addToBasket, mayChange, offerCategories, productValues, putPicture, putProductValues, stockText } from "../product.js";
import { describe, sentence } from "../problem.js";
import { formatPrice, putMoment, text } from "../text.js";

const path = `/products/${location.pathname.split("/").pop()}`;
const firstWait = 1000; // milliseconds, as is longestWait
const longestWait = 15000;

// The last response of the API: the version that changes are based on, and its values in the form.
let product, etag, unedited;
let owned = false;
let watching = false;

start("member", async (user) => {
  const { data, headers } = await send("GET", path);
  owned = mayChange(user, data);
  setUpBuying();
  if (owned) {
    setUpChanges();
    putProductValues(byID("edit-form"), data);
    unedited = productValues(byID("edit-form"));
    byID("edit").hidden = false;
    offerCategories(byID("categories"));
  }
  accept({ data, headers });
  if (location.hash === "#edit" && owned) {
    byID("edit").scrollIntoView();
    byID("name").focus({ preventScroll: true });
  }
});

// accept shows a newer version, but keeps what the user has changed in the form. It returns the name of
// a field that changed on both sides.
function accept({ data, headers }) {
  const disputed = owned ? mergeForm(data) : [];
  product = data;
  etag = headers.get("ETag");

  document.title = `${product.name} – ${text("site.name")}`;
  byID("product-name").textContent = product.name;
  put(byID("product-slogan"), product.slogan);
  put(byID("product-description"), product.description);
  byID("product-price").textContent = formatPrice(product.price);
  byID("product-stock").textContent = stockText(product);
  byID("product-category").hidden = product.category === "";
  byID("category-link").textContent = product.category;
  byID("category-link").href = `/dashboard?category=${encodeURIComponent(product.category)}`;
  byID("buy").hidden = product.stock === 0;
  byID("sold-out").hidden = product.stock > 0;
  putMoment(byID("product-updated"), product.updated_at);
  byID("product-details").hidden = false;
  showPicture();
  return disputed;
}

function editedFields() {
  const entered = productValues(byID("edit-form"));
  return Object.keys(entered).filter((name) => entered[name] !== unedited[name]);
}

function mergeForm(fresh) {
  const form = byID("edit-form");
  const entered = productValues(form);
  const edited = editedFields();
  putProductValues(form, fresh);
  const theirs = productValues(form);
  for (const name of edited) {
    form.elements.namedItem(name).value = entered[name];
  }
  const disputed = edited.filter((name) => theirs[name] !== unedited[name] && theirs[name] !== entered[name]);
  unedited = theirs;
  return disputed;
}

function showPicture() {
  const img = byID("picture");
  putPicture(img, product, product.images?.full ?? product.image_url);
  img.alt = text("picture.of", { name: product.name });
  byID("remove-picture").hidden = product.image_status === undefined;
  const states = {
    processing: text("picture.processing"),
    failed: owned ? text("picture.failed", { reason: sentence(product.image_error ?? "") }) : "",
  };
  put(byID("picture-state"), states[product.image_status] ?? "");
  watchPicture();
}

// watchPicture polls with backoff, while the page is visible, until the sizes are made.
async function watchPicture() {
  if (watching) {
    return;
  }
  watching = true;
  try {
    for (let wait = firstWait; product.image_status === "processing"; wait = Math.min(wait * 1.5, longestWait)) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (!document.hidden) {
        acceptPicture(await send("GET", path));
      }
    }
  } catch (error) {
    put(byID("picture-state"), describe(error));
  } finally {
    watching = false;
  }
}

// acceptPicture accepts only the picture while the owner is editing. A concurrent change by someone
// else is left for If-Match to detect; the picture's sizes are no such change.
function acceptPicture(fresh) {
  const editing = owned && editedFields().length > 0;
  if (!editing || Object.keys(unedited).every((name) => fresh.data[name] === product[name])) {
    accept(fresh);
    return;
  }
  const { image_url, image_status, image_error, images } = fresh.data;
  product = { ...product, image_url, image_status, image_error, images };
  showPicture();
}

function setUpBuying() {
  onSubmit(byID("buy"), ({ elements }) => addToBasket(product, Number(elements.quantity.value)));
}

function setUpChanges() {
  const form = byID("edit-form");
  onSubmit(form, () => orCatchUp(form, async () => {
    const values = productValues(form);
    const body = Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== unedited[name]));
    if (Object.keys(body).length > 0) {
      accept(await send("PATCH", path, { body, headers: { "If-Match": etag } }));
    }
    notify(text("edit.saved"));
  }));

  const pictureForm = byID("picture-form");
  setUpPicture(pictureForm);
  onSubmit(pictureForm, () => orCatchUp(pictureForm, async () => {
    const [file] = pictureForm.elements.image.files;
    if (file === undefined) {
      showFormError(pictureForm, text("picture.none"));
      return;
    }
    const headers = { "If-Match": etag, "Content-Type": file.type };
    accept(await withProgress((progress) => upload("PUT", `${path}/image`, file, { headers, progress })));
    pictureForm.reset();
    notify(text("picture.replaced"));
  }));
  onClick(byID("remove-picture"), () => orCatchUp(pictureForm, async () => {
    if (await confirmed(text("picture.remove"), text("picture.remove_question"), text("picture.remove"))) {
      accept(await send("DELETE", `${path}/image`, { headers: { "If-Match": etag } }));
      notify(text("picture.removed"));
    }
  }), (error) => showError(pictureForm, error));
  onSubmit(byID("delete-form"), (deleteForm) => orCatchUp(deleteForm, remove));
}

async function remove() {
  const title = text("product.delete_this", { name: product.name });
  if (await confirmed(title, text("edit.delete_hint"), text("edit.delete"))) {
    await send("DELETE", path, { headers: { "If-Match": etag } });
    notifyNext(text("product.deleted", { name: product.name }));
    location.assign("/dashboard");
  }
}

// orCatchUp shows the newer version after a conflict, and leaves the decision to the user.
async function orCatchUp(form, change) {
  try {
    await change();
  } catch (error) {
    if (error.code !== "stale_version") {
      throw error;
    }
    const fresh = await send("GET", path);
    const disputed = accept(fresh).map((name) => text("edit.now", { field: text(`product.${name}`), value: fresh.data[name] }));
    showFormError(form, [text("edit.stale"), ...disputed].join(" "));
  }
}
