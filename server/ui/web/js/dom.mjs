// Small helpers for making document nodes.

import { t } from "./language.mjs";

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element. Attributes are set as given; null and false leave them out.
 * Children are nodes or strings; null is left out.
 */
export function h(tag, attributes = null, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on") || name === "style") throw new Error(`h: ${name} is not an attribute to set`);
    element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child !== null && child !== undefined) element.append(child);
  return element;
}

/** An icon of the page's sprite. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button that shows only an icon; the label is its name and its tip. */
export function iconButton(name, label, onClick, attributes = null) {
  const button = h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, ...attributes }, icon(name));
  button.addEventListener("click", onClick);
  return button;
}

export function setIcon(button, name) {
  button.querySelector("use").setAttribute("href", `#i-${name}`);
}

/** Copies text and says so on the button that was pressed. */
export async function copyText(text, button) {
  const done = await writeClipboard(text);
  const label = button.querySelector("span");
  const use = button.querySelector("use");
  clearTimeout(button.copyTimer);
  use?.setAttribute("href", done ? "#i-check" : "#i-alert");
  if (label) label.textContent = done ? t("Copied") : t("Could not copy");
  announce(done ? t("Copied") : t("The browser did not allow copying"));
  button.copyTimer = setTimeout(() => {
    use?.setAttribute("href", "#i-copy");
    if (label) label.textContent = t("Copy");
  }, 1600);
}

async function writeClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages that came over plain HTTP from another machine have no clipboard API.
    const area = h("textarea", { class: "sr-only", "aria-hidden": "true" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    const before = document.activeElement;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus?.();
    return done;
  }
}

/** Tells people who listen to the page. */
export function announce(text) {
  const live = document.getElementById("live");
  live.textContent = "";
  // A change in the next frame is announced even if the text is the same as before.
  requestAnimationFrame(() => {
    live.textContent = text;
  });
}

export const byId = (id) => document.getElementById(id);
