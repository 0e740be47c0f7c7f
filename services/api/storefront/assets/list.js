// Paginated lists.

import { get } from "./api.js";
import { byID, put } from "./dom.js";
import { onClick } from "./form.js";
import { describe } from "./problem.js";
import { formatNumber, text } from "./text.js";

// maxPages bounds the pages that are read without an entry, as in a search that finds little.
const maxPages = 5;

// pagedList fills an element with the result of render for each entry; name is the list's in the
// response. It returns a function that starts again with another path, which has the filters.
export function pagedList(element, { name, render, empty }) {
  const state = byID("list-state");
  const more = byID("load-more");
  let path, cursor, beginnings = 0;

  async function nextPage(replace = false, pages = 1) {
    const beginning = beginnings;
    state.textContent = text("list.loading");
    const separator = path.includes("?") ? "&" : "?";
    const query = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = await get(`${path}${separator}limit=24${query}`).catch((error) => error);
    if (beginning !== beginnings) {
      return null; // of a list that is no longer wanted
    }
    if (replace) {
      element.replaceChildren();
      put(byID("list-empty"), "");
    }
    if (page instanceof Error) {
      throw page;
    }
    const entries = page[name].map(render);
    element.append(...entries);
    cursor = page.next_cursor;
    if (entries.length === 0 && cursor !== "" && pages < maxPages) {
      return nextPage(false, pages + 1);
    }
    more.hidden = cursor === "";
    const shown = element.childElementCount;
    const none = shown === 0 && cursor === "";
    put(byID("list-empty"), none ? text(empty) : "");
    state.textContent = none ? "" : text("list.shown", { count: formatNumber(shown) });
    return entries[0];
  }

  function failed(error) {
    state.textContent = describe(error);
    more.hidden = false; // to try again
  }

  onClick(more, async () => {
    const first = await nextPage();
    first?.querySelector("a, button")?.focus();
  }, failed);

  return async (newPath) => {
    beginnings++;
    path = newPath;
    cursor = "";
    more.hidden = true;
    try {
      await nextPage(true); // until it is there, the old entries stay
    } catch (error) {
      failed(error);
    }
  };
}
