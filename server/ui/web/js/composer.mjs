// The field in which messages are written, with the button that sends and
// stops, and the meter of the context.

import { byId, setIcon } from "./dom.mjs";
import { Attachments } from "./files.mjs";
import { t } from "./language.mjs";
import { formatNumber } from "./words.mjs";

const DRAFT = "trit.draft.";

export class Composer {
  #input = byId("input");
  #send = byId("send");
  #running = false;
  #id = null;
  #files;
  #model = "";

  /** @param actions {send(text, files), stop(), editLast(): boolean, count(text), limit(), used()} */
  constructor(actions) {
    this.#files = new Attachments({ ...actions, onChange: () => this.#showButton() });
    const input = this.#input;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#running) actions.stop();
      else this.#submit(actions);
    });
    input.addEventListener("input", () => this.#changed());
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter" && !event.shiftKey && !touchOnly()) {
        event.preventDefault();
        if (!this.#running) this.#submit(actions);
      } else if (event.key === "ArrowUp" && input.value === "" && !this.#running) {
        if (actions.editLast()) event.preventDefault();
      }
    });
    // Anywhere in the box focuses the field.
    byId("composer").addEventListener("pointerdown", (event) => {
      if (event.target.closest("button, textarea, input, li")) return;
      event.preventDefault();
      input.focus();
    });
  }

  focus() {
    this.#input.focus({ preventScroll: true });
  }

  /** Changes to the draft of another conversation. */
  open(id) {
    this.#id = id;
    this.#input.value = readDraft(id);
    this.#files.open(id);
    this.#grow();
    this.#showButton();
  }

  /** Puts a text into the field, for the user to send. */
  fill(text) {
    this.#input.value = text;
    this.#changed();
    this.focus();
  }

  setRunning(running) {
    if (this.#running === running) return;
    this.#running = running;
    this.#showButton();
  }

  setModel(name) {
    if (this.#model && name !== this.#model) this.#files.recount();
    this.#model = name;
    this.#input.placeholder = name ? t`Write to ${name}` : t("Write a message");
  }

  /** Shows how much of the context is used. limit may be unknown (null). */
  setMeter(used, limit) {
    const meter = byId("meter");
    meter.hidden = !used;
    if (!used) return;
    const bar = byId("meter-bar");
    bar.hidden = !limit;
    const share = limit ? Math.min(1, used / limit) : 0;
    bar.value = Math.round(share * 100);
    meter.dataset.level = share >= 0.95 ? "full" : share >= 0.8 ? "high" : "";
    byId("meter-text").textContent = limit ? t`${formatNumber(used)} of ${formatNumber(limit)} tokens` : t`${formatNumber(used)} tokens`;
    meter.title = limit ? t`The conversation fills ${Math.round(share * 100)} % of the model's context` : t("Tokens in the conversation");
  }

  #submit(actions) {
    const text = this.#input.value.trim();
    if (this.#send.disabled) return;
    this.#input.value = "";
    this.#changed(); // first, because sending may open another conversation's draft
    const files = this.#files.take();
    if (actions.send(text, files)) return;
    this.fill(text);
    this.#files.put(files);
  }

  #changed() {
    writeDraft(this.#id, this.#input.value);
    this.#grow();
    this.#showButton();
  }

  #grow() {
    this.#input.style.height = "auto";
    this.#input.style.height = `${this.#input.scrollHeight}px`;
  }

  #showButton() {
    const label = this.#running ? t("Stop") : t("Send");
    setIcon(this.#send, this.#running ? "stop" : "arrow-up");
    this.#send.setAttribute("aria-label", label);
    this.#send.title = this.#running ? t("Stop (Esc)") : t("Send (Enter)");
    this.#send.classList.toggle("stop", this.#running);
    const empty = this.#input.value.trim() === "" && !this.#files?.files.length;
    this.#send.disabled = !this.#running && (empty || !this.#files.fits);
  }
}

/** On touch keyboards Enter makes a new line, as people expect there. */
function touchOnly() {
  return matchMedia("(hover: none) and (pointer: coarse)").matches;
}

function readDraft(id) {
  try {
    return sessionStorage.getItem(DRAFT + id) ?? "";
  } catch {
    return "";
  }
}

function writeDraft(id, text) {
  try {
    if (text) sessionStorage.setItem(DRAFT + id, text);
    else sessionStorage.removeItem(DRAFT + id);
  } catch {
    // A draft that cannot be kept is still in the field.
  }
}
