// Forms are validated first and submitted once at a time. Errors are shown at their fields.

import { put } from "./dom.js";
import { describe, sentence } from "./problem.js";
import { text } from "./text.js";

const reasons = [
  "customError", "valueMissing", "badInput", "typeMismatch", "patternMismatch", "tooShort", "tooLong", "rangeUnderflow",
  "rangeOverflow", "stepMismatch",
];

// Errors that are about one field without naming it.
const fieldOfCode = { username_taken: "username", email_taken: "email", sid_taken: "sid" };

// onSubmit calls action when a valid form is submitted. What action throws is shown in the form.
export function onSubmit(form, action) {
  form.noValidate = true; // or the browser speaks, in its own language
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.getAttribute("aria-busy") === "true") {
      return;
    }
    clearErrors(form);
    if (!checkFields(form)) {
      return;
    }
    setBusy(form, true);
    try {
      await action(form);
    } catch (error) {
      showError(form, error);
    } finally {
      setBusy(form, false);
    }
  });
}

function checkFields(form) {
  const wrong = Array.from(form.elements).filter((field) => field.willValidate && !field.validity.valid);
  for (const field of wrong) {
    showFieldError(field, reasonOf(field));
  }
  wrong[0]?.focus();
  return wrong.length === 0;
}

function reasonOf(field) {
  const reason = reasons.find((name) => field.validity[name]);
  if (reason === "customError") {
    return field.validationMessage;
  }
  const { min, max, minLength, maxLength } = field;
  return text(`invalid.${reason}`, { min, max, minLength, maxLength });
}

// showError shows errors at their fields, and those without a field at the end of the form.
export function showError(form, error) {
  const complaints = (error.fields ?? []).map(({ field, message }) => [field, (label) => sentence(`${label} ${message}`)]);
  if (Object.hasOwn(fieldOfCode, error.code)) {
    complaints.push([fieldOfCode[error.code], () => describe(error)]);
  }
  let first;
  for (const [name, words] of complaints) {
    const field = form.elements.namedItem(name);
    if (field !== null) {
      showFieldError(field, words(field.labels[0].textContent));
      first ??= field;
    }
  }
  if (first === undefined) {
    showFormError(form, describe(error));
    return;
  }
  first.focus();
}

export function showFormError(form, words) {
  let box = form.querySelector(".form-error");
  if (box === null) {
    box = document.createElement("p");
    box.className = "form-error note bad";
    box.setAttribute("role", "alert");
    form.append(box);
  }
  put(box, words);
}

export function showFieldError(field, words) {
  const id = `${field.id}-error`;
  let box = document.getElementById(id);
  if (box === null) {
    box = document.createElement("p");
    box.id = id;
    box.className = "error";
    field.after(box);
    field.setAttribute("aria-describedby", `${id} ${field.getAttribute("aria-describedby") ?? ""}`.trim());
  }
  put(box, words);
  field.setAttribute("aria-invalid", "true");
}

export function clearErrors(form) {
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
  }
  for (const box of form.querySelectorAll(".error, .form-error")) {
    put(box, "");
  }
}

// setBusy does not disable the buttons, so that they keep the focus.
function setBusy(form, busy) {
  form.setAttribute("aria-busy", String(busy));
  for (const button of form.querySelectorAll("button")) {
    button.setAttribute("aria-disabled", String(busy));
  }
}

// onClick is onSubmit for a single button; report is called with what action throws.
export function onClick(button, action, report) {
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") {
      return;
    }
    button.setAttribute("aria-disabled", "true");
    try {
      await action();
    } catch (error) {
      report(error);
    } finally {
      button.setAttribute("aria-disabled", "false");
    }
  });
}
