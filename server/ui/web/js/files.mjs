// The files that go along with the next message: read as text, counted in
// tokens, shown as chips above the field.

import { h, icon, iconButton, byId, announce } from "./dom.mjs";
import { fileText } from "./conversation.mjs";
import { t } from "./language.mjs";
import { formatBytes, formatNumber } from "./words.mjs";

const DRAFT = "trit.files.";
const MOST_BYTES = 4_000_000; // of a file; more does not fit any context
const MOST_FILES = 20;

/** Reads a file as text. Throws an Error whose message is for the user. */
export async function readText(file) {
  if (file.size > MOST_BYTES) throw new Error(t`“${file.name}” has ${formatBytes(file.size)}; at most ${formatBytes(MOST_BYTES)} can be attached.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const mark = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : "utf-8";
  let text = null;
  try {
    text = new TextDecoder(mark, { fatal: true }).decode(bytes);
  } catch {
    // Not text, as below.
  }
  if (text === null || text.includes("\0")) {
    throw new Error(/\.pdf$/i.test(file.name) ? t`“${file.name}” is a PDF: save its text as a file and attach that.` : t`“${file.name}” is not text in UTF-8: only text, code and tables can be attached.`);
  }
  return text.replaceAll("\r\n", "\n");
}

export class Attachments {
  #list = byId("files");
  #problem = byId("files-problem");
  #files = [];
  #id = null;
  #hooks;

  /** @param hooks {onChange(), count(text): Promise<number>, limit(): tokens or null, used(): tokens of the conversation} */
  constructor(hooks) {
    this.#hooks = hooks;
    const chooser = byId("attach-file");
    byId("attach").addEventListener("click", () => chooser.click());
    chooser.addEventListener("change", () => {
      this.add([...chooser.files]);
      chooser.value = "";
    });
    const carries = (event) => event.dataTransfer?.types.includes("Files") && !document.querySelector("dialog[open]");
    document.addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) document.body.classList.remove("dropping");
    });
    document.addEventListener("drop", (event) => {
      document.body.classList.remove("dropping");
      if (!carries(event)) return;
      event.preventDefault();
      this.add([...event.dataTransfer.files]);
    });
    document.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length === 0 || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      this.add(files);
    });
  }

  get files() {
    return this.#files;
  }

  /** Whether what is attached can be sent: it is certain not to fit otherwise. */
  get fits() {
    const limit = this.#hooks.limit();
    return limit === null || this.#tokens() < limit;
  }

  /** Changes to the files of another conversation's draft. */
  open(id) {
    this.#id = id;
    try {
      this.#files = JSON.parse(sessionStorage.getItem(DRAFT + id) ?? "[]");
    } catch {
      this.#files = [];
    }
    this.#problem.textContent = "";
    this.#show();
  }

  async add(files) {
    const problems = [];
    for (const file of files) {
      try {
        if (this.#files.length >= MOST_FILES) throw new Error(t`At most ${MOST_FILES} files go along with a message.`);
        const read = { name: file.name || "pasted.txt", size: file.size, text: await readText(file), tokens: null };
        this.#files.push(read);
        announce(t`${read.name} is attached`);
        this.#changed();
      } catch (error) {
        problems.push(error.message);
      }
    }
    this.#problem.textContent = [...new Set(problems)].join(" ");
    await this.count();
  }

  /** Counts the tokens of what has not been counted. */
  async count() {
    for (const file of this.#files) {
      if (file.tokens !== null) continue;
      try {
        file.tokens = await this.#hooks.count(fileText(file));
      } catch {
        return; // the answer will say what is wrong with the server
      }
      this.#changed();
    }
  }

  /** Counts all anew, for another model. */
  recount() {
    for (const file of this.#files) file.tokens = null;
    this.#show();
    this.count();
  }

  /** Takes the files away for a message. */
  take() {
    const taken = this.#files.map(({ name, text, tokens }) => ({ name, text, tokens }));
    this.put([]);
    return taken;
  }

  put(files) {
    this.#files = files;
    this.#problem.textContent = "";
    this.#changed();
  }

  #tokens() {
    return this.#files.reduce((sum, file) => sum + (file.tokens ?? 0), 0);
  }

  #changed() {
    try {
      if (this.#files.length > 0) sessionStorage.setItem(DRAFT + this.#id, JSON.stringify(this.#files));
      else sessionStorage.removeItem(DRAFT + this.#id);
    } catch {
      // Files that the browser has no room for last as long as the page.
    }
    this.#show();
  }

  #show() {
    this.#list.hidden = this.#files.length === 0;
    this.#list.replaceChildren(...this.#files.map((file) => {
      const remove = iconButton("close", t`Remove ${file.name}`, () => {
        this.put(this.#files.filter((other) => other !== file));
        byId("input").focus();
      });
      return h("li", { class: "file-chip" }, icon("file"), h("span", { class: "file-name", title: file.name }, file.name),
        h("span", { class: "file-size" }, file.tokens === null ? formatBytes(file.size ?? file.text.length) : t`${formatNumber(file.tokens)} tokens`), remove);
    }));
    const limit = this.#hooks.limit();
    const tokens = this.#tokens();
    const room = limit === null ? Infinity : limit - this.#hooks.used();
    const warning = byId("files-warning");
    warning.textContent = "";
    if (!this.fits) warning.textContent = t`The files have ${formatNumber(tokens)} tokens and this model takes ${formatNumber(limit)}: they do not fit.`;
    else if (tokens > 0 && tokens >= room) warning.textContent = t`The files have ${formatNumber(tokens)} tokens, and beside this chat there is room for ${formatNumber(Math.max(0, room))}: a new chat has more.`;
    this.#hooks.onChange();
  }
}
