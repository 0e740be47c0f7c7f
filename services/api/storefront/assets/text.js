// Texts in the chosen language, and its formats of prices and times.

const remembered = "merchstore.language";
const locales = { en: "en", zh: "zh-CN" };

export const language = chosenLanguage();
const locale = locales[language];
let texts = {};

function chosenLanguage() {
  const wanted = [localStorage.getItem(remembered), ...navigator.languages.map((tag) => tag.slice(0, 2))];
  return wanted.find((tag) => tag !== null && Object.hasOwn(locales, tag)) ?? "en";
}

export function otherLanguage() {
  const code = language === "en" ? "zh" : "en";
  return { code, locale: locales[code], name: { en: "English", zh: "中文" }[code] };
}

export function rememberLanguage(code) {
  localStorage.setItem(remembered, code);
}

// loadTexts translates the page, which stays in English if it throws.
export async function loadTexts() {
  const response = await fetch(new URL(`text/${language}.json`, import.meta.url));
  if (!response.ok) {
    throw new Error(`the texts came with a status of ${response.status}`);
  }
  texts = await response.json();
  document.documentElement.lang = locale;
  document.title = `${text(`${document.documentElement.dataset.page}.title`)} – ${text("site.name")}`;
  translate(document);
}

export function hasText(key) {
  return Object.hasOwn(texts, key);
}

// text returns the text for a key, with {name} replaced by the value of that name.
export function text(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function translate(root) {
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = text(element.dataset.text);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", text(element.dataset.label));
  }
}

const prices = new Intl.NumberFormat(locale, { style: "currency", currency: "CNY", currencyDisplay: "narrowSymbol" });
const numbers = new Intl.NumberFormat(locale);
const moments = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const days = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: "UTC" });
const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export const formatPrice = (yuan) => prices.format(yuan);
export const formatNumber = (number) => numbers.format(number);
export const formatDay = (date) => days.format(new Date(date)); // for example 2026-01-02
export const formatClock = (instant) => clock.format(new Date(instant));

// putMoment shows an RFC 3339 time in the local time zone.
export function putMoment(time, instant) {
  time.dateTime = instant;
  time.textContent = moments.format(new Date(instant));
}
