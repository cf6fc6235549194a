// Short messages at the edge of the page, with at most one thing to do.

import { h, iconButton, byId } from "./dom.mjs";
import { t } from "./language.mjs";

const SHOWN = 8000; // ms

/** Shows a message. With an action, a button for it. Stays while it is pointed at or focused. */
export function toast(text, action = null) {
  const element = h("div", { class: "toast", role: "status" }, h("span", null, text));
  const close = () => {
    clearTimeout(timer);
    element.remove();
  };
  if (action) {
    const button = h("button", { type: "button", class: "link" }, action.label);
    button.addEventListener("click", () => {
      close();
      action.run();
    });
    element.append(button);
  }
  element.append(iconButton("close", t("Dismiss"), close));
  let timer = setTimeout(close, SHOWN);
  const hold = () => clearTimeout(timer);
  const release = () => {
    clearTimeout(timer);
    timer = setTimeout(close, SHOWN / 2);
  };
  element.addEventListener("pointerenter", hold);
  element.addEventListener("pointerleave", release);
  element.addEventListener("focusin", hold);
  element.addEventListener("focusout", release);
  const box = byId("toasts");
  // Beside an open dialog the page is inert, so the message joins the dialog.
  (document.querySelector("dialog[open]") ?? document.body).append(box);
  box.append(element);
  while (box.children.length > 3) box.firstElementChild.remove();
}

/** A message that stays above the conversation until it is taken back. */
export class Notices {
  #shown = new Map();

  set(name, text, action = null) {
    if (this.#shown.get(name)?.text === text) return;
    this.clear(name);
    const element = h("div", { class: "notice" }, h("span", null, text));
    if (action) {
      const button = h("button", { type: "button", class: "link" }, action.label);
      button.addEventListener("click", action.run);
      element.append(button);
    }
    byId("notices").append(element);
    this.#shown.set(name, { text, element });
  }

  clear(name) {
    this.#shown.get(name)?.element.remove();
    this.#shown.delete(name);
  }
}
