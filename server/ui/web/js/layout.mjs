// The sidebar: beside the conversation where there is room, over it where not.

import { byId } from "./dom.mjs";

const HIDDEN = "trit.sidebar";
const narrow = matchMedia("(max-width: 800px)");
const touch = matchMedia("(hover: none) and (pointer: coarse)");

export class Layout {
  #app = byId("app");
  #hidden = readHidden(); // on wide screens
  #overlay = false; // on narrow screens

  constructor() {
    byId("show-sidebar").addEventListener("click", () => this.toggle());
    byId("hide-sidebar").addEventListener("click", () => this.toggle());
    byId("scrim").addEventListener("click", () => this.closeOverlay());
    narrow.addEventListener("change", () => this.#apply());
    this.#apply();
  }

  /** Whether the device has no mouse, so that focusing a field would open its keyboard. */
  get touch() {
    return touch.matches;
  }

  toggle() {
    if (narrow.matches) this.#overlay = !this.#overlay;
    else {
      this.#hidden = !this.#hidden;
      writeHidden(this.#hidden);
    }
    this.#apply();
    if (this.#overlay && narrow.matches) byId("new-chat").focus();
    else if (!this.#shown()) byId("show-sidebar").focus();
  }

  /** Closes the sidebar if it lies over the conversation. True if it did. */
  closeOverlay() {
    if (!narrow.matches || !this.#overlay) return false;
    this.#overlay = false;
    this.#apply();
    byId("show-sidebar").focus();
    return true;
  }

  #shown() {
    return narrow.matches ? this.#overlay : !this.#hidden;
  }

  #apply() {
    const shown = this.#shown();
    this.#app.classList.toggle("with-sidebar", shown);
    byId("sidebar").inert = !shown;
    byId("show-sidebar").setAttribute("aria-expanded", String(shown));
    document.querySelector("main").inert = shown && narrow.matches;
  }
}

function readHidden() {
  try {
    return localStorage.getItem(HIDDEN) === "hidden";
  } catch {
    return false;
  }
}

function writeHidden(hidden) {
  try {
    if (hidden) localStorage.setItem(HIDDEN, "hidden");
    else localStorage.removeItem(HIDDEN);
  } catch {
    // The choice lasts as long as the page.
  }
}
