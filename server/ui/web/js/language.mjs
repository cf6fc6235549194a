// The languages of the page. Its texts stand in the code and in index.html in
// English, which is their name in the tables of the other languages, in languages/.
// What is interpolated is {0}, {1} … there; a text that depends on a number may be a
// function of it.

/** Languages that there are tables of, as they call themselves. */
export const LANGUAGES = { en: "English", de: "Deutsch" };

const CHOICE = "trit.language";
const ATTRIBUTES = ["aria-label", "title", "placeholder"];

/** The language that the user has chosen; "" follows the browser. */
export function chosenLanguage() {
  try {
    const code = localStorage.getItem(CHOICE);
    return Object.hasOwn(LANGUAGES, code) ? code : "";
  } catch {
    return "";
  }
}

/** Chooses a language, which the page has when it is loaded again. False if that cannot be kept. */
export function chooseLanguage(code) {
  try {
    if (code) localStorage.setItem(CHOICE, code);
    else localStorage.removeItem(CHOICE);
    return true;
  } catch {
    return false;
  }
}

function pick() {
  if (typeof document === "undefined") return "en"; // no page at all: a test
  const codes = [chosenLanguage(), ...navigator.languages].map((code) => code.split("-")[0]);
  return codes.find((code) => Object.hasOwn(LANGUAGES, code)) ?? "en";
}

export const language = pick();

// Modules that name texts when they are loaded wait for this.
const table = language === "en" ? {} : await import(`./languages/${language}.mjs`).then((module) => module.default, () => ({}));

/** A text in the language of the page: t("…"), or t`… ${value} …`. */
export function t(parts, ...values) {
  const key = typeof parts === "string" ? parts : parts.reduce((text, part, i) => `${text}{${i - 1}}${part}`);
  const found = Object.hasOwn(table, key) ? table[key] : key;
  const text = typeof found === "function" ? found(...values) : found;
  return values.length === 0 ? text : text.replace(/\{(\d)\}/g, (_, i) => values[i]);
}

/** Puts what stands in the document into the language of the page. */
function translate(root) {
  document.documentElement.lang = language;
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim();
    if (Object.hasOwn(table, text)) texts.currentNode.data = texts.currentNode.data.replace(text, () => table[text]);
  }
  for (const name of ATTRIBUTES) {
    for (const element of root.querySelectorAll(`[${name}]`)) element.setAttribute(name, t(element.getAttribute(name)));
  }
}

if (language !== "en") translate(document.body);
