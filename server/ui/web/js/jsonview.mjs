// An answer that is JSON: as a tree that folds, and as a table where it is a
// list of objects. Every part is made of text.

import { h } from "./dom.mjs";
import { t } from "./language.mjs";

const MOST_SHOWN = 200; // entries of one list
const DEEPEST = 40;
const MOST_COLUMNS = 20;

/** Shows a JSON value with buttons for its forms. Null: the text is not JSON. */
export function jsonView(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const rows = rowsOf(value);
  const forms = { [t("Tree")]: () => tree(null, value, 0), ...(rows ? { [t("Table")]: () => table(rows) } : {}), [t("Text")]: () => h("pre", { tabindex: "0", role: "region", "aria-label": "JSON" }, JSON.stringify(value, null, 2)) };
  const body = h("div", { class: "json-body" });
  const buttons = Object.entries(forms).map(([name, make], i) => {
    const button = h("button", { type: "button", class: "button", "aria-pressed": String(i === 0) }, name);
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      body.replaceChildren(make());
    });
    return button;
  });
  body.append(tree(null, value, 0));
  return h("div", { class: "json" }, h("div", { class: "json-head", role: "group", "aria-label": t("Show as") }, ...buttons), body);
}

/** The list of objects that a value is, or holds as its only list; null if there is none. */
function rowsOf(value) {
  const isRows = (list) => Array.isArray(list) && list.length > 0 && list.every((row) => row !== null && typeof row === "object" && !Array.isArray(row));
  if (isRows(value)) return value;
  if (value === null || typeof value !== "object") return null;
  const lists = Object.values(value).filter(isRows);
  return lists.length === 1 ? lists[0] : null;
}

function tree(key, value, depth) {
  const name = key === null ? [] : [h("span", { class: "json-key" }, String(key)), ": "];
  if (value === null || typeof value !== "object" || depth > DEEPEST) return h("div", { class: "json-leaf" }, ...name, leaf(value));
  const list = Array.isArray(value);
  const entries = Object.entries(value);
  const n = entries.length;
  const count = list ? (n === 1 ? t`${n} item` : t`${n} items`) : n === 1 ? t`${n} field` : t`${n} fields`;
  const details = h("details", null, h("summary", null, ...name, h("span", { class: "json-count" }, count)));
  details.open = depth < 3;
  for (const [field, inner] of entries.slice(0, MOST_SHOWN)) details.append(tree(field, inner, depth + 1));
  if (entries.length > MOST_SHOWN) details.append(h("p", { class: "hint" }, t`… and ${entries.length - MOST_SHOWN} more`));
  return details;
}

function leaf(value) {
  const kind = typeof value === "string" ? "s" : typeof value === "number" ? "n" : "k";
  return h("span", { class: `tk-${kind}` }, JSON.stringify(value));
}

function table(rows) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].slice(0, MOST_COLUMNS);
  const head = h("tr", null, ...columns.map((name) => h("th", { scope: "col" }, name)));
  const cell = (value) => h("td", { class: typeof value === "number" ? "to-right" : null }, value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value));
  const body = rows.slice(0, MOST_SHOWN).map((row) => h("tr", null, ...columns.map((name) => cell(row[name]))));
  return h("div", { class: "table", tabindex: "0", role: "region", "aria-label": t("Table") }, h("table", null, h("thead", null, head), h("tbody", null, ...body)),
    rows.length > MOST_SHOWN ? h("p", { class: "hint" }, t`… and ${rows.length - MOST_SHOWN} more`) : null);
}
