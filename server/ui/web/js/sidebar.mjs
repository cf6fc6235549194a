// The list of chats: grouped by day, searchable, with rename and delete.

import { h, iconButton, byId } from "./dom.mjs";
import { dayGroup } from "./words.mjs";

const UNTITLED = "New chat";

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

  /** @param actions {open(id), rename(id, title), pin(id), remove(ids), exportChosen(ids), search(query): Promise<Map>} */
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
    byId("select-count").textContent = count === 0 ? "None chosen" : `${count} chosen`;
    byId("select-export").disabled = byId("select-delete").disabled = count === 0;
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
    const parts = [];
    let group = null;
    let list = null;
    for (const head of [...shown.filter(({ pinned }) => pinned), ...shown.filter(({ pinned }) => !pinned)]) {
      const name = head.pinned ? "Pinned" : dayGroup(head.updated);
      if (name !== group) {
        group = name;
        list = h("ul", { "aria-label": name });
        parts.push(h("h2", { class: "group", "aria-hidden": "true" }, name), list);
      }
      list.append(this.#row(head));
    }
    if (shown.length === 0) {
      parts.push(h("p", { class: "none" }, this.#found ? `No chat contains “${this.#search.value.trim()}”.` : "Your chats will appear here."));
    }
    this.#list.replaceChildren(...parts);
    if (focused) this.#list.querySelector(`[data-id="${CSS.escape(focused)}"] .chat-link`)?.focus({ preventScroll: true });
  }

  #row(head) {
    const title = head.title || UNTITLED;
    const link = h("a", { class: "chat-link", href: `#/c/${head.id}`, "aria-current": head.id === this.#current ? "page" : null, title },
      h("span", { class: "chat-title", dir: "auto" }, title));
    const snippet = this.#found?.get(head.id);
    if (snippet) link.append(h("span", { class: "snippet" }, snippet));
    if (this.#running.has(head.id)) link.append(h("span", { class: "pulse", role: "img", "aria-label": "writing" }));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.#actions.open(head.id);
    });
    const row = h("li", { class: "chat", "data-id": head.id }, link,
      h("span", { class: "chat-actions" },
        iconButton("pin", `Pin “${title}”`, () => this.#actions.pin(head.id), { "aria-pressed": String(head.pinned === true) }),
        iconButton("edit", `Rename “${title}”`, () => this.#rename(row, head)),
        iconButton("trash", `Delete “${title}”`, () => this.#actions.remove([head.id]))));
    if (this.#chosen) this.#addBox(row, head, title);
    return row;
  }

  /** Has a row chosen by a box instead of opened. */
  #addBox(row, head, title) {
    const box = h("input", { type: "checkbox", "aria-label": `Choose “${title}”` });
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
    const input = h("input", { type: "text", class: "rename", "aria-label": "Title of the chat", maxlength: "200" });
    input.value = head.title;
    this.#renaming = head.id;
    row.replaceChildren(input);
    input.focus();
    input.select();
    let ended = false;
    const end = (keep) => {
      if (ended) return;
      ended = true;
      this.#renaming = null;
      const title = input.value.trim();
      if (keep && title !== "" && title !== head.title) this.#actions.rename(head.id, title);
      this.#render();
      this.#list.querySelector(`[data-id="${CSS.escape(head.id)}"] .chat-link`)?.focus();
    };
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter" || event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        end(event.key === "Enter");
      }
    });
    input.addEventListener("blur", () => end(true));
  }

  /** Arrow keys walk through the list, F2 renames, P pins, Delete deletes. */
  #move(event) {
    if (!event.target.classList.contains("chat-link")) return;
    const links = [...this.#list.querySelectorAll(".chat-link")];
    const at = links.indexOf(event.target);
    const row = event.target.closest(".chat");
    if (event.key === "ArrowDown") links[Math.min(links.length - 1, at + 1)].focus();
    else if (event.key === "ArrowUp") (at === 0 ? this.#search : links[at - 1]).focus();
    else if (event.key === "F2") this.#rename(row, this.#heads.find((head) => head.id === row.dataset.id));
    else if (event.key === "p" && !event.ctrlKey && !event.metaKey && !event.altKey) this.#actions.pin(row.dataset.id);
    else if (event.key === "Delete") this.#actions.remove([row.dataset.id]);
    else return;
    event.preventDefault();
  }
}
