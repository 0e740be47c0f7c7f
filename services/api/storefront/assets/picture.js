// Choosing a picture: it is checked and previewed before the upload, which takes long on a phone.

import { byID } from "./dom.js";
import { clearErrors, showFieldError } from "./form.js";
import { text } from "./text.js";

const types = ["image/jpeg", "image/png", "image/webp", "image/gif"];
const maxBytes = 10 * 1024 * 1024;
const maxPixels = 40_000_000;

// setUpPicture watches the file input of a form.
export function setUpPicture(form) {
  const input = form.elements.namedItem("image");
  const preview = byID("preview");
  const refuse = (words) => {
    input.setCustomValidity(words);
    preview.hidden = true;
    showFieldError(input, words);
  };
  const change = () => {
    URL.revokeObjectURL(preview.src);
    preview.removeAttribute("src");
    preview.hidden = true;
    input.setCustomValidity("");
    clearErrors(form);
    const [file] = input.files;
    if (file === undefined) {
      return;
    }
    if (!types.includes(file.type)) {
      refuse(text("picture.wrong_type"));
    } else if (file.size > maxBytes) {
      refuse(text("picture.too_large", { megabytes: (file.size / 1024 / 1024).toFixed(1) }));
    } else {
      preview.src = URL.createObjectURL(file);
    }
  };
  input.addEventListener("change", change);
  form.addEventListener("reset", () => setTimeout(change)); // the form is empty after the event only
  preview.addEventListener("load", () => {
    preview.alt = text("picture.preview");
    preview.hidden = false;
    if (preview.naturalWidth * preview.naturalHeight > maxPixels) {
      refuse(text("picture.too_many_pixels"));
    }
  });
  preview.addEventListener("error", () => {
    if (preview.hasAttribute("src")) {
      refuse(text("picture.unreadable"));
    }
  });
}

// withProgress shows the progress of an upload while send, which is passed a callback for it, runs.
export async function withProgress(send) {
  const box = byID("upload");
  const bar = byID("upload-progress");
  bar.value = 0;
  box.hidden = false;
  try {
    return await send((part) => {
      if (part < 1) {
        bar.value = Math.round(part * 100);
      } else {
        bar.removeAttribute("value"); // all sent; how long the store looks at it nobody knows
      }
    });
  } finally {
    box.hidden = true;
  }
}
