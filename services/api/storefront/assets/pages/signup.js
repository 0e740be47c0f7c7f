import { post } from "../api.js";
import { byID } from "../dom.js";
import { onSubmit } from "../form.js";
import { start } from "../page.js";
import { keepNext, logIn, nextPath } from "../session.js";

start("anyone", (user) => {
  if (user !== null) {
    location.replace(nextPath());
    return;
  }
  keepNext();
  onSubmit(byID("signup"), async ({ elements }) => {
    const { username, password, email, sid } = elements;
    await post("/users/create", {
      username: username.value.trim(), password: password.value, email: email.value.trim(), sid: sid.value.trim(),
    });
    await logIn(username.value.trim(), password.value);
  });
});
