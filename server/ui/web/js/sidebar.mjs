// The list of chats: grouped by folder and day, searchable, with rename and delete.

import { h, icon, iconButton, byId } from "./dom.mjs";
import { t } from "./language.mjs";
import { dayGroup } from "./words.mjs";

const UNTITLED = t("New chat");
const FOLDED = "trit.folded";

export class Sidebar {
  #actions;
  #list = byId("chat-list");
  #search = byId("search");
  #heads = [];
  #current = null;
  #running = new Set();
  #found = null; // result of the last search, or null for all chats
  #searchTimer = 0;
  #renaming = null;
  #chosen = null; // ids while several are being chosen
  #folded = new Set(readFolded()); // names of folders

  /** @param actions {open(id), rename(id, title), pin(id), move(ids, folder), remove(ids), exportChosen(ids), search(query): Promise<Map>} */
  constructor(actions) {
    this.#actions = actions;
    this.#search.addEventListener("input", () => this.#searchSoon());
    this.#search.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#search.value !== "") {
        event.stopPropagation();
        event.preventDefault();
        this.#search.value = "";
        this.#searchSoon();
      } else if (event.key === "ArrowDown") {
        event.preventDefault();
        this.#list.querySelector(".chat-link")?.focus();
      }
    });
    this.#list.addEventListener("keydown", (event) => this.#move(event));
    byId("select-chats").addEventListener("click", () => this.#choose(this.#chosen ? null : []));
    byId("select-all").addEventListener("click", () => this.#choose(this.#shown().map(({ id }) => id)));
    byId("select-export").addEventListener("click", () => this.#actions.exportChosen([...this.#chosen]));
    byId("select-folder").addEventListener("click", () => this.#moveChosen());
    byId("select-delete").addEventListener("click", () => {
      const ids = [...this.#chosen];
      this.#choose(null);
      byId("select-chats").focus();
      this.#actions.remove(ids);
    });
  }

  /** Shows what there is. */
  update({ heads = this.#heads, current = this.#current, running = this.#running }) {
    this.#heads = heads;
    this.#current = current;
    this.#running = running;
    if (this.#renaming === null) this.#render();
  }

  /** Begins to choose several chats, with some chosen already; null ends it. */
  #choose(ids) {
    this.#chosen = ids && new Set(ids);
    byId("select-chats").setAttribute("aria-pressed", String(ids !== null));
    byId("select-bar").hidden = ids === null;
    this.#render();
    this.#showChosen();
  }

  #showChosen() {
    const count = this.#chosen?.size ?? 0;
    byId("select-count").textContent = count === 0 ? t("None chosen") : t`${count} chosen`;
    byId("select-export").disabled = byId("select-folder").disabled = byId("select-delete").disabled = count === 0;
  }

  #shown() {
    return this.#found ? this.#heads.filter((head) => this.#found.has(head.id)) : this.#heads;
  }

  #searchSoon() {
    clearTimeout(this.#searchTimer);
    const query = this.#search.value.trim();
    if (query === "") {
      this.#found = null;
      this.#render();
      return;
    }
    this.#searchTimer = setTimeout(async () => {
      const found = await this.#actions.search(query);
      if (query !== this.#search.value.trim()) return;
      this.#found = found;
      this.#render();
    }, 120);
  }

  #render() {
    const focused = document.activeElement?.closest?.(".chat")?.dataset.id;
    const shown = this.#shown();
    const groups = new Map(); // by name: the heads of a group, folders before days
    const add = (kind, name, head) => {
      const key = `${kind} ${name}`;
      if (!groups.has(key)) groups.set(key, { kind, name, heads: [] });
      groups.get(key).heads.push(head);
    };
    for (const head of shown) {
      if (head.pinned) add("pinned", t("Pinned"), head);
      else if (head.folder) add("folder", head.folder, head);
      else add("day", dayGroup(head.updated), head);
    }
    const of = (kind) => [...groups.values()].filter((group) => group.kind === kind);
    const folders = of("folder").sort((a, b) => a.name.localeCompare(b.name));
    const parts = [...of("pinned"), ...folders, ...of("day")].flatMap((group) => this.#group(group));
    if (shown.length === 0) {
      parts.push(h("p", { class: "none" }, this.#found ? t`No chat contains “${this.#search.value.trim()}”.` : t("Your chats will appear here.")));
    }
    this.#list.replaceChildren(...parts);
    if (focused) this.#list.querySelector(`[data-id="${CSS.escape(focused)}"] .chat-link`)?.focus({ preventScroll: true });
  }

  /** The heading of a group and its list. */
  #group({ kind, name, heads }) {
    const list = h("ul", { "aria-label": name }, ...heads.map((head) => this.#row(head)));
    if (kind !== "folder") return [h("h2", { class: "group", "aria-hidden": "true" }, name), list];
    const details = h("details", { open: this.#found !== null || !this.#folded.has(name) },
      h("summary", { class: "group" }, icon("folder"), h("span", { class: "folder-name", dir: "auto" }, name), h("span", { class: "folder-count" }, String(heads.length))), list);
    details.addEventListener("toggle", () => {
      if (this.#found) return; // a search unfolds all
      if (details.open) this.#folded.delete(name);
      else this.#folded.add(name);
      writeFolded([...this.#folded]);
    });
    const box = h("div", { class: "folder" }, details, iconButton("edit", t`Rename the folder “${name}”`, () => this.#edit(box, {
      label: t("Name of the folder"), value: name, keep: (text) => this.#actions.move(this.#heads.filter(({ folder }) => folder === name).map(({ id }) => id), text),
    })));
    return [box];
  }

  #row(head) {
    const title = head.title || UNTITLED;
    const link = h("a", { class: "chat-link", href: `#/c/${head.id}`, "aria-current": head.id === this.#current ? "page" : null, title },
      h("span", { class: "chat-title", dir: "auto" }, title));
    const snippet = this.#found?.get(head.id);
    if (snippet) link.append(h("span", { class: "snippet" }, snippet));
    if (this.#running.has(head.id)) link.append(h("span", { class: "pulse", role: "img", "aria-label": t("writing") }));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.#actions.open(head.id);
    });
    const row = h("li", { class: "chat", "data-id": head.id }, link,
      h("span", { class: "chat-actions" },
        iconButton("pin", t`Pin “${title}”`, () => this.#actions.pin(head.id), { "aria-pressed": String(head.pinned === true) }),
        iconButton("folder", t`Move “${title}” to a folder`, () => this.#moveTo(row, head)),
        iconButton("edit", t`Rename “${title}”`, () => this.#rename(row, head)),
        iconButton("trash", t`Delete “${title}”`, () => this.#actions.remove([head.id]))));
    if (this.#chosen) this.#addBox(row, head, title);
    return row;
  }

  /** Has a row chosen by a box instead of opened. */
  #addBox(row, head, title) {
    const box = h("input", { type: "checkbox", "aria-label": t`Choose “${title}”` });
    box.checked = this.#chosen.has(head.id);
    box.addEventListener("change", () => {
      if (box.checked) this.#chosen.add(head.id);
      else this.#chosen.delete(head.id);
      this.#showChosen();
    });
    row.classList.add("choosing");
    row.querySelector(".chat-actions").remove();
    row.querySelector(".chat-link").addEventListener("click", (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      box.click();
    }, { capture: true });
    row.prepend(box);
  }

  #rename(row, head) {
    this.#edit(row, { id: head.id, label: t("Title of the chat"), value: head.title, keep: (title) => title !== "" && this.#actions.rename(head.id, title) });
  }

  #moveTo(row, head) {
    this.#edit(row, { id: head.id, label: t("Folder, or nothing to take the chat out"), value: head.folder ?? "", folders: true, keep: (folder) => this.#actions.move([head.id], folder) });
  }

  #moveChosen() {
    const ids = [...this.#chosen];
    this.#edit(byId("select-count"), {
      label: t("Folder of the chosen chats, or nothing to take them out"), value: "", folders: true, keep: (folder) => this.#actions.move(ids, folder),
    });
  }

  /** Puts a field in the place of a row; keep is called with what was entered. */
  #edit(row, { id, label, value, folders, keep }) {
    const input = h("input", { type: "text", class: "rename", "aria-label": label, placeholder: folders ? t("Folder") : null, dir: "auto", maxlength: folders ? "60" : "200", list: folders ? "folders" : null });
    input.value = value;
    this.#renaming = true;
    const names = folders ? [...new Set(this.#heads.map(({ folder }) => folder).filter(Boolean))] : [];
    row.replaceChildren(input, h("datalist", { id: "folders" }, ...names.map((name) => h("option", { value: name }))));
    input.focus();
    input.select();
    let ended = false;
    const end = (kept) => {
      if (ended) return;
      ended = true;
      this.#renaming = null;
      const text = input.value.trim();
      if (kept && (text !== value || row.id)) keep(text);
      this.#render();
      this.#showChosen();
      if (id) this.#list.querySelector(`[data-id="${CSS.escape(id)}"] .chat-link`)?.focus();
    };
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter" || event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        end(event.key === "Enter");
      }
    });
    input.addEventListener("blur", () => end(id !== undefined));
  }

  /** Arrow keys walk through the list, F2 renames, P pins, M moves to a folder, Delete deletes. */
  #move(event) {
    if (!event.target.classList.contains("chat-link")) return;
    const links = [...this.#list.querySelectorAll(":is(.chat-list, details[open]) > ul > .chat > .chat-link")];
    const at = links.indexOf(event.target);
    const row = event.target.closest(".chat");
    if (event.key === "ArrowDown") links[Math.min(links.length - 1, at + 1)].focus();
    else if (event.key === "ArrowUp") (at === 0 ? this.#search : links[at - 1]).focus();
    else if (event.key === "F2") this.#rename(row, this.#heads.find((head) => head.id === row.dataset.id));
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "p") this.#actions.pin(row.dataset.id);
    else if (event.key === "m") this.#moveTo(row, this.#heads.find((head) => head.id === row.dataset.id));
    else if (event.key === "Delete") this.#actions.remove([row.dataset.id]);
    else return;
    event.preventDefault();
  }
}

function readFolded() {
  try {
    const names = JSON.parse(localStorage.getItem(FOLDED) ?? "[]");
    return Array.isArray(names) ? names : [];
  } catch {
    return [];
  }
}

function writeFolded(names) {
  try {
    localStorage.setItem(FOLDED, JSON.stringify(names));
  } catch {
    // What is folded is so as long as the page.
  }
}
