// Logging in. The session itself is a cookie that no script sees.

import { post } from "./api.js";

export async function logIn(username, password) {
  await post("/session", { username, password });
  location.assign(nextPath());
}

// nextPath is where the visitor was going, if that is a page of this shop.
export function nextPath() {
  try {
    const there = new URL(new URLSearchParams(location.search).get("next") ?? "/dashboard", location.origin);
    if (there.origin === location.origin) {
      return there.href; // whole: a path alone that begins with // would be another site's
    }
  } catch {
    // Not an address at all.
  }
  return "/dashboard";
}

// keepNext makes the way between the log-in and the sign-up page remember it too.
export function keepNext() {
  for (const link of document.querySelectorAll("[data-keep-next]")) {
    link.search = location.search;
  }
}
