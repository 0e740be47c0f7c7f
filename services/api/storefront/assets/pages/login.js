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
  onSubmit(byID("login"), async ({ elements }) => {
    await logIn(elements.username.value, elements.password.value);
  });
});
