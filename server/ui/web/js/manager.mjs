// The dialog of models: what is here and what it takes, loading and unloading,
// downloading with progress, deleting, and what a model says about itself.

import { h, iconButton, byId } from "./dom.mjs";
import { t } from "./language.mjs";
import { toast } from "./toast.mjs";
import { formatBytes, formatCount, formatDuration, formatNumber } from "./words.mjs";

const LOOK_EVERY = 800; // ms, while the dialog is open

const STATES = { loaded: t("loaded"), loading: t("loading"), unloading: t("unloading"), failed: t("failed") };

export class Manager {
  #api;
  #hooks;
  #dialog = byId("models");
  #rows = new Map(); // by id
  #pulls = new Map(); // by name
  #catalogue = null;
  #timer = 0;

  /** @param hooks {use(id), changed(): Promise, askKey(refused): Promise<boolean>} */
  constructor(api, hooks) {
    this.#api = api;
    this.#hooks = hooks;
    this.#dialog.addEventListener("close", () => clearTimeout(this.#timer));
    byId("models-get").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = byId("models-name").value.trim();
      if (name === "") return;
      byId("models-name").value = "";
      this.pull(name);
    });
    addEventListener("beforeunload", (event) => {
      if (this.#pulls.size > 0) event.preventDefault(); // a download ends with the page
    });
  }

  async open() {
    byId("models-problem").textContent = "";
    this.#dialog.showModal();
    this.#look();
    if (this.#catalogue) return;
    try {
      this.#catalogue = (await this.#api.get("ui/catalogue")).models;
      this.#showCatalogue();
    } catch (error) {
      this.#problem(error);
    }
  }

  /** Asks for the state of things, again and again while somebody looks. */
  async #look() {
    clearTimeout(this.#timer);
    try {
      const { data, memory } = await this.#api.list();
      this.#show(data.filter((model) => !model.root || model.root === model.id), memory);
    } catch (error) {
      if (error.kind === "auth" && (await this.#hooks.askKey(this.#api.key !== ""))) this.#look();
      else this.#problem(error);
      return;
    }
    if (this.#dialog.open) this.#timer = setTimeout(() => this.#look(), LOOK_EVERY);
  }

  #problem(error) {
    if (error.name === "AbortError") return;
    byId("models-problem").textContent = error.message;
  }

  #show(models, memory) {
    const list = byId("models-list");
    const kept = new Map();
    models.forEach((model, i) => {
      const row = this.#rows.get(model.id) ?? new Row(model.id, this);
      row.update(model, memory);
      kept.set(model.id, row);
      if (list.children[i] !== row.element) list.insertBefore(row.element, list.children[i] ?? null);
    });
    for (const [id, row] of this.#rows) if (!kept.has(id)) row.element.remove();
    const before = this.#rows.size;
    this.#rows = kept;
    list.querySelector(".none")?.remove();
    if (kept.size === 0) list.append(h("li", { class: "none" }, t("There is no model here yet. Download one below.")));
    const box = byId("models-memory");
    box.hidden = !memory?.limit;
    if (memory?.limit) {
      box.querySelector("progress").value = Math.round((100 * memory.used) / memory.limit);
      byId("models-memory-text").textContent = t`Loaded models take ${formatBytes(memory.used)} of ${formatBytes(memory.limit)} of memory.`;
    }
    if (before !== kept.size) this.#showCatalogue();
  }

  /** What can be downloaded and is not here. */
  #showCatalogue() {
    const items = (this.#catalogue ?? []).filter(({ name }) => !this.#rows.has(name) && !this.#pulls.has(name));
    byId("models-catalogue").replaceChildren(...items.map((entry) => {
      const button = h("button", { type: "button", class: "button", "aria-label": t`Download ${entry.name}` }, t("Download"));
      button.addEventListener("click", () => this.pull(entry.name));
      const facts = [entry.size ? formatBytes(entry.size) : "", t`${formatCount(entry.parameters)} parameters`, entry.context ? t`${formatNumber(entry.context)} tokens` : "", entry.license].filter(Boolean);
      return h("li", { class: "row" }, h("div", { class: "row-main" }, h("div", null, h("strong", null, entry.name),
        h("p", null, entry.description), h("p", { class: "hint" }, facts.join(" · "))), button));
    }));
  }

  /** Downloads a model and shows how far it is. */
  async pull(name) {
    if (this.#pulls.has(name)) return;
    const abort = new AbortController();
    const bar = h("progress", { max: "100", "aria-label": t`Download of ${name}` });
    const state = h("p", { class: "hint" }, t("Asking where it is…"));
    const buttons = h("div", { class: "row-buttons" });
    const stop = h("button", { type: "button", class: "button", "aria-label": t`Stop downloading ${name}` }, t("Stop"));
    stop.addEventListener("click", () => abort.abort());
    buttons.append(stop);
    const row = h("li", { class: "row pull", "data-name": name }, h("div", { class: "row-main" }, h("div", null, h("strong", null, name), bar, state), buttons));
    byId("models-pulls").querySelector(`[data-name="${CSS.escape(name)}"]`)?.remove();
    byId("models-pulls").append(row);
    this.#pulls.set(name, abort);
    this.#showCatalogue();
    const speed = new Speed();
    try {
      await this.#authorised(() => this.#api.lines("api/pull", { model: name }, abort.signal, (line) => {
        if (!(line.total > 0)) return;
        const done = line.completed ?? 0;
        bar.value = (100 * done) / line.total;
        state.textContent = line.status.startsWith("pulling")
          ? [t`${formatBytes(done)} of ${formatBytes(line.total)}`, ...speed.words(done, line.total)].join(" · ")
          : `${line.status}, ${Math.floor(bar.value)} %`;
      }));
      row.remove();
      toast(t`${name} was downloaded.`, { label: t("Use it"), run: () => this.#use(name) });
    } catch (error) {
      bar.remove();
      state.textContent = error.name === "AbortError" ? t("Stopped. What has arrived is kept.") : error.message;
      if (error.name !== "AbortError") state.className = "problem";
      const again = h("button", { type: "button", class: "button", "aria-label": t`Go on with ${name}` }, t("Go on"));
      again.addEventListener("click", () => this.pull(name));
      buttons.replaceChildren(again, iconButton("close", t`Forget the download of ${name}`, () => row.remove()));
    }
    this.#pulls.delete(name);
    this.#showCatalogue();
    this.#hooks.changed();
    if (this.#dialog.open) this.#look();
  }

  /** Does what may need a key; asks for one as long as it is refused and another is given. */
  async #authorised(act) {
    for (;;) {
      try {
        return await act();
      } catch (error) {
        // The forms of some APIs have no place for the code admin_key_required.
        const wanted = error.kind === "auth" || /needs one of the server's admin keys/.test(error.message);
        if (!wanted || !(await this.#hooks.askKey(this.#api.key !== ""))) throw error;
      }
    }
  }

  #use(id) {
    this.#dialog.close();
    this.#hooks.use(id);
  }

  // What the rows do.

  use(row) {
    this.#use(row.id);
  }

  act(row, method, path) {
    return row.during(async () => {
      this.#look();
      await this.#authorised(() => this.#api.send(method, path, { model: row.id }));
      this.#hooks.changed();
      await this.#look();
    });
  }

  /** Name and value of all that is known about a model. */
  async details(row, model) {
    const shown = await this.#api.send("POST", "api/show", { model: row.id });
    const props = model.status?.value === "loaded" ? await this.#api.props(undefined, row.id) : null;
    const info = shown.model_info ?? {};
    const { architecture, quantization, n_ctx_train: trained } = model.meta ?? {};
    return [
      [t("Architecture"), [architecture, quantization].filter(Boolean).join(", ")],
      [t("Layers"), info[`${architecture}.block_count`]],
      [t("Trained for"), trained ? t`${formatNumber(trained)} tokens` : ""],
      [t("Abilities"), shown.capabilities?.join(", ")],
      [t("Computed with"), props?.cpu ? props.threads === 1 ? t`${props.cpu}, one thread` : t`${props.cpu}, ${props.threads} threads` : ""],
      [t("Licence"), shown.license],
      [t("Recommended settings"), shown.parameters?.trim()],
      [t("Chat template"), shown.template],
    ].filter(([, value]) => value);
  }
}

/** A model that is here. */
class Row {
  #model = null;
  #busy = false;
  #note = h("p", { class: "hint facts" });
  #state = h("span", { class: "chip" });
  #bar = h("progress", { max: "100" });
  #problem = h("p", { class: "problem", role: "alert" });
  #details = h("dl", { class: "details", hidden: true });

  constructor(id, manager) {
    this.id = id;
    this.manager = manager;
    const button = (label, act) => {
      const made = h("button", { type: "button", class: "button", "aria-label": `${label} ${id}` }, label);
      made.addEventListener("click", act);
      return made;
    };
    this.#bar.setAttribute("aria-label", t`Loading ${id}`);
    this.useButton = button(t("Use"), () => manager.use(this));
    this.loadButton = button(t("Load"), () => manager.act(this, "POST", "models/load"));
    this.unloadButton = button(t("Unload"), () => manager.act(this, "POST", "models/unload"));
    this.detailsButton = button(t("Details"), () => this.#toggle());
    this.detailsButton.setAttribute("aria-expanded", "false");
    this.deleteButton = iconButton("trash", t`Delete ${id}`, () => this.#ask());
    this.buttons = h("div", { class: "row-buttons" }, this.useButton, this.loadButton, this.unloadButton, this.detailsButton, this.deleteButton);
    this.element = h("li", { class: "row", "data-id": id },
      h("div", { class: "row-main" }, h("div", null, h("strong", null, id), " ", this.#state, this.#note), this.buttons),
      this.#bar, this.#problem, this.#details);
  }

  update(model, memory) {
    this.#model = model;
    const state = model.status?.value ?? "";
    const loading = state === "loading";
    this.#state.textContent = loading ? t`loading, ${Math.floor(model.status.progress * 100)} %` : (STATES[state] ?? "");
    this.#state.hidden = !STATES[state];
    this.#state.dataset.state = state;
    this.#bar.hidden = !loading;
    this.#bar.value = 100 * (model.status?.progress ?? 0);
    const { needed, taken } = model.memory ?? {};
    const facts = [
      model.meta?.n_params ? t`${formatCount(model.meta.n_params)} parameters` : "",
      model.meta?.size ? t`${formatBytes(model.meta.size)} on disk` : "",
      model.context_length ? t`${formatNumber(model.context_length)} tokens of context` : "",
      taken ? t`takes ${formatBytes(taken)} of memory` : needed ? t`needs ${formatBytes(needed)} of memory` : "",
    ].filter(Boolean).join(" · ");
    if (this.#note.textContent !== facts) this.#note.textContent = facts;
    const never = !taken && memory?.limit > 0 && needed > memory.limit;
    this.#note.classList.toggle("problem", never);
    if (never) this.#note.textContent = t`${facts}, more than there is`;
    this.loadButton.hidden = state !== "unloaded" && state !== "failed";
    this.unloadButton.hidden = state !== "loaded";
    this.deleteButton.hidden = model.source !== "store";
    this.#enable();
  }

  #enable() {
    const state = this.#model?.status?.value;
    for (const button of [this.useButton, this.loadButton, this.unloadButton, this.deleteButton]) button.disabled = this.#busy || state === "unloading";
  }

  /** Rests the buttons while something is done, and says what went wrong. */
  async during(act) {
    this.#busy = true;
    this.#problem.textContent = "";
    this.#enable();
    try {
      await act();
    } catch (error) {
      if (error.name !== "AbortError") this.#problem.textContent = error.message;
    }
    this.#busy = false;
    this.#enable();
  }

  #ask() {
    const size = this.#model.meta?.size;
    const yes = h("button", { type: "button", class: "button danger" }, t("Delete"));
    const no = h("button", { type: "button", class: "button" }, t("Keep"));
    const question = h("div", { class: "question", role: "group", "aria-label": t`Delete ${this.id}?` },
      h("span", null, size ? t`Delete it from the server’s disk (${formatBytes(size)})?` : t("Delete it from the server’s disk?")), yes, no);
    const back = () => {
      question.remove();
      this.buttons.hidden = false;
    };
    yes.addEventListener("click", () => {
      back();
      this.manager.act(this, "DELETE", "api/delete");
    });
    no.addEventListener("click", () => {
      back();
      this.deleteButton.focus();
    });
    this.buttons.hidden = true;
    this.#problem.before(question);
    no.focus();
  }

  async #toggle() {
    const shown = this.#details.hidden;
    this.#details.hidden = !shown;
    this.detailsButton.setAttribute("aria-expanded", String(shown));
    if (!shown) return;
    await this.during(async () => {
      const facts = await this.manager.details(this, this.#model);
      this.#details.replaceChildren(...facts.flatMap(([name, value]) => {
        const text = String(value);
        const long = text.length > 80 || text.includes("\n");
        return [h("dt", null, name), h("dd", null, long ? h("pre", { tabindex: "0", role: "region", "aria-label": name }, text) : text)];
      }));
    });
  }
}

/** How fast a download is, over the last seconds, and how long it will take. */
class Speed {
  #points = [];

  words(done, total) {
    const now = performance.now();
    this.#points.push([now, done]);
    while (this.#points.length > 2 && now - this.#points[0][0] > 5000) this.#points.shift();
    const [since, from] = this.#points[0];
    if (now - since < 500 || done <= from) return [];
    const perSecond = ((done - from) / (now - since)) * 1000;
    return [`${formatBytes(perSecond)}/s`, t`${formatDuration(Math.max(1, (total - done) / perSecond) * 1000)} left`];
  }
}
