// Logging in. The session is an HttpOnly cookie.

import { post } from "./api.js";

export async function logIn(username, password) {
  await post("/session", { username, password });
  location.assign(nextPath());
}

// nextPath returns the page to redirect to after login, if it is one of this shop.
export function nextPath() {
  try {
    const there = new URL(new URLSearchParams(location.search).get("next") ?? "/dashboard", location.origin);
    if (there.origin === location.origin) {
      return there.href; // whole: a path alone that begins with // would be another site's
    }
  } catch {
    // not a URL
  }
  return "/dashboard";
}

// keepNext passes it on between the login and the signup page.
export function keepNext() {
  for (const link of document.querySelectorAll("[data-keep-next]")) {
    link.search = location.search;
  }
}
