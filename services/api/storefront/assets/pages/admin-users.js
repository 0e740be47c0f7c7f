import { post } from "../api.js";
import { byID, clone, confirmed, fill, notify, part } from "../dom.js";
import { onClick } from "../form.js";
import { pagedList } from "../list.js";
import { showProblem, start } from "../page.js";
import { putMoment, text } from "../text.js";

start("admin", (self) => {
  const begin = pagedList(byID("users"), { name: "users", empty: "admin-users.empty", render: (user) => showUser(user, self) });
  return begin("/users");
});

function showUser(user, self) {
  const row = clone("user");
  fill(row, { username: user.username, sid: user.sid, email: user.email, role: text(`role.${user.role}`) });
  putMoment(part(row, "created"), user.created_at);
  putState(row, user, self);
  const button = part(row, "deactivate");
  button.setAttribute("aria-label", text("admin-users.deactivate_this", { name: user.username }));
  onClick(button, async () => {
    const title = text("admin-users.deactivate_this", { name: user.username });
    if (await confirmed(title, text("admin-users.question"), text("admin-users.deactivate"))) {
      putState(row, await post(`/users/${encodeURIComponent(user.sid)}/deactivate`), self);
      notify(text("admin-users.deactivated", { name: user.username }));
    }
  }, showProblem);
  return row;
}

// Admins deactivate their own account on the account page.
function putState(row, user, self) {
  const state = part(row, "state");
  state.textContent = text(user.active ? "user.active" : "user.deactivated");
  state.classList.toggle("good", user.active);
  part(row, "deactivate").hidden = !user.active || user.sid === self.sid;
}
