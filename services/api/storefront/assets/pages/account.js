import { del, get, patch, post } from "../api.js";
import * as basket from "../basket.js";
import { byID, confirmed, notify, notifyNext } from "../dom.js";
import { onClick, onSubmit } from "../form.js";
import { showProblem, start } from "../page.js";
import { text } from "../text.js";

start("member", async ({ sid }) => {
  const path = `/users/${encodeURIComponent(sid)}`;
  setUpProfile(path, await get(path));
  setUpPassword(path);
  setUpEnd(path);
});

function setUpProfile(path, account) {
  const form = byID("profile");
  const { username, email } = form.elements;
  const show = () => {
    byID("who").textContent = text("account.who", { sid: account.sid, role: text(`role.${account.role}`) });
    username.value = account.username;
    email.value = account.email;
  };
  show();
  onSubmit(form, async () => {
    const entered = { username: username.value.trim(), email: email.value.trim() };
    const change = Object.fromEntries(Object.entries(entered).filter(([name, value]) => value !== account[name]));
    if (Object.keys(change).length > 0) {
      account = await patch(path, change);
    }
    show();
    notify(text("account.saved"));
  });
}

function setUpPassword(path) {
  const form = byID("password-form");
  onSubmit(form, async ({ elements }) => {
    const password = elements.password.value;
    const { username } = await patch(path, { current_password: elements.current_password.value, password });
    await post("/session", { username, password }); // the new password has ended this session, too
    form.reset();
    notify(text("account.password_changed"));
  });
}

function setUpEnd(path) {
  onClick(byID("end-sessions"), async () => {
    await post(`${path}/logout`);
    notifyNext(text("account.sessions_ended"));
    location.assign("/login");
  }, showProblem);
  onClick(byID("deactivate"), async () => {
    if (!await confirmed(text("account.deactivate"), text("account.deactivate_hint"), text("account.deactivate"))) {
      return;
    }
    await post(`${path}/deactivate`);
    basket.throwAway();
    await del("/session");
    notifyNext(text("account.deactivated"));
    location.assign("/");
  }, showProblem);
}
