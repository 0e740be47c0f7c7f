// The start of every page: get the session, load the texts, set up the navigation, run the page.

import { get, loginPath, send } from "./api.js";
import * as basket from "./basket.js";
import { byID, notifyNext, put, showKeptNotice } from "./dom.js";
import { describe } from "./problem.js";
import { formatNumber, hasText, loadTexts, otherLanguage, rememberLanguage, text } from "./text.js";

// start runs a page's main function with the user, or null if not logged in. who is "anyone", "member" or "admin".
export async function start(who, main) {
  await run(who, main);
  document.documentElement.dataset.ready = "true"; // a sign for tests
}

async function run(who, main) {
  const [asked, loaded] = await Promise.allSettled([get("/session"), loadTexts()]);
  setUpMenu();
  setUpLanguage();
  const failed = [asked, loaded].find((result) => result.status === "rejected");
  if (failed !== undefined) {
    showProblem(failed.reason);
    return;
  }
  const { user } = asked.value;
  basket.openFor(user?.sid ?? "");
  setUpNavigation(user);
  reloadForAnother(user);
  if (who !== "anyone" && user === null) {
    location.replace(loginPath());
    await new Promise(() => {}); // nothing more happens on a page that is being left
  }
  if (who === "admin" && user.role !== "admin") {
    put(byID("page-problem"), text("problem.admins_only"));
    return;
  }
  showKeptNotice();
  try {
    await main(user);
  } catch (error) {
    showProblem(error);
  }
}

// showProblem shows an error at the top of the page, with a button to retry. If the texts could not be
// loaded, the page's English text stays.
export function showProblem(error) {
  const words = describe(error);
  if (hasText("problem.again")) {
    byID("problem-words").textContent = words;
  }
  byID("problem-again").onclick = () => location.reload();
  byID("page-problem").hidden = false;
}

function setUpNavigation(user) {
  const roles = user === null ? ["visitor"] : user.role === "admin" ? ["member", "admin"] : ["member"];
  for (const element of document.querySelectorAll("[data-for]")) {
    element.hidden = !roles.includes(element.dataset.for);
  }
  for (const link of document.querySelectorAll("header a")) {
    if (link.getAttribute("href") === location.pathname) {
      link.setAttribute("aria-current", "page");
    }
  }
  if (user !== null) {
    byID("account-link").title = user.username;
  }
  byID("log-out").addEventListener("click", logOut);
  basket.onChange(showBasketCount);
  showBasketCount();
}

function showBasketCount() {
  const count = basket.count();
  put(byID("basket-count"), count === 0 ? "" : formatNumber(count));
}

async function logOut() {
  try {
    await send("DELETE", "/session");
    notifyNext(text("nav.logged_out"));
    location.assign("/");
  } catch (error) {
    showProblem(error);
  }
}

function setUpMenu() {
  const button = byID("menu-button");
  const open = (yes) => button.setAttribute("aria-expanded", String(yes));
  button.addEventListener("click", () => open(button.getAttribute("aria-expanded") !== "true"));
  byID("menu").addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      open(false);
      button.focus();
    }
  });
}

function setUpLanguage() {
  const other = otherLanguage();
  const button = byID("language");
  button.textContent = other.name;
  button.lang = other.locale;
  button.addEventListener("click", () => {
    rememberLanguage(other.code);
    location.reload();
  });
}

// reloadForAnother reloads a page from the back/forward cache if the user has changed.
function reloadForAnother(user) {
  window.addEventListener("pageshow", async (event) => {
    if (!event.persisted) {
      return;
    }
    try {
      const now = await get("/session");
      if (now.user?.sid !== user?.sid) {
        location.reload();
      }
    } catch {
      location.reload(); // which says what is wrong
    }
  });
}
