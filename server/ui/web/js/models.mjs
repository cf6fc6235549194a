// Which models the server has, which one is chosen, and whether the server is
// there at all: while it is not, asks again every few seconds.

import { h, byId } from "./dom.mjs";
import { t } from "./language.mjs";

const CHOICE = "trit.model";
const AGAIN = 3000; // ms

export class Models {
  #api;
  #notices;
  #onChange;
  #askKey;
  #select = byId("model");
  #models = null;
  #props = null;
  #chosen = "";
  #timer = 0;

  /** @param {() => void} onChange called when models, context length or choice have changed */
  constructor(api, notices, { onChange, askKey }) {
    this.#api = api;
    this.#notices = notices;
    this.#onChange = onChange;
    this.#askKey = askKey;
    try {
      this.#chosen = localStorage.getItem(CHOICE) ?? "";
    } catch {
      this.#chosen = "";
    }
    this.#select.addEventListener("change", () => {
      this.choose(this.#select.value);
      try {
        localStorage.setItem(CHOICE, this.#chosen);
      } catch {
        // The choice lasts as long as the page.
      }
      this.#onChange();
    });
  }

  /** The id of the chosen model; "" while none is known. */
  get chosen() {
    return this.#chosen;
  }

  /** "none" if there is no model, "demo" if there is only the small one of the program, or "some"; null while unknown. */
  get supply() {
    if (this.#models === null) return null;
    if (this.#models.length === 0) return "none";
    return this.#models.every((model) => model.source === "embedded") ? "demo" : "some";
  }

  /** Whether a model is the small one of the program, which knows no titles. */
  isEmbedded(id) {
    return this.#models?.find((model) => model.id === id)?.source === "embedded";
  }

  /** The length of the chosen model's context in tokens, or null. */
  get contextLength() {
    const model = this.#models?.find(({ id }) => id === this.#chosen);
    const candidates = [
      model?.context_length, model?.max_model_len, model?.meta?.n_ctx,
      this.#props?.default_generation_settings?.n_ctx, this.#props?.n_ctx,
    ];
    return candidates.find((value) => Number.isInteger(value) && value > 0) ?? null;
  }

  /** The server's own sampling settings by the names of the request's fields, as far as it tells. */
  get defaults() {
    const settings = this.#props?.default_generation_settings ?? {};
    const known = { ...settings, ...settings.params };
    return { ...known, repetition_penalty: known.repetition_penalty ?? known.repeat_penalty, seed: null };
  }

  /** Chooses a model, for example that of the conversation that was opened. */
  choose(id) {
    if (id) this.#chosen = id;
    this.#show();
  }

  /** Asks the server what it has. Throws what went wrong. */
  async refresh(signal) {
    const models = await this.#api.models(signal);
    this.#models = models;
    if (models.length > 0 && !models.some(({ id }) => id === this.#chosen)) this.#chosen = models[0].id;
    this.reached();
    this.#show();
    this.#onChange();
    const props = models.length > 0 ? await this.#api.props(signal, this.#chosen) : null;
    this.#props = props;
    this.#onChange();
  }

  /** Asks until there is an answer; notices tell why there is none. */
  async watch() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    try {
      await this.refresh();
    } catch (error) {
      if (error.kind === "auth") {
        if (await this.#askKey(this.#api.key !== "")) this.watch();
        else this.#notices.set("server", t("The server wants an API key."), { label: t("Enter a key"), run: () => this.watch() });
        return;
      }
      this.lost(error);
    }
  }

  /** The server did not answer as it should: say so and ask again. */
  lost(error) {
    const text = {
      network: t("The server does not answer: chats can be read, and what is typed is kept. Trying again…"),
      loading: t("The model is loading…"),
      busy: t("The server is busy. Trying again…"),
    }[error.kind] ?? t`The models cannot be listed: ${error.message}`;
    this.#notices.set("server", text);
    if (this.#timer === 0) this.#timer = setTimeout(() => this.watch(), Math.max(AGAIN, (error.retryAfter ?? 0) * 1000));
  }

  /** The server has answered. */
  reached() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#notices.clear("server");
  }

  #show() {
    const ids = (this.#models ?? []).map(({ id }) => id);
    const options = ids.map((id) => h("option", { value: id }, id));
    if (this.#chosen && !ids.includes(this.#chosen)) options.unshift(h("option", { value: this.#chosen }, ids.length === 0 ? this.#chosen : t`${this.#chosen} (not here)`));
    if (options.length === 0) options.push(h("option", { value: "" }, t("No models")));
    this.#select.replaceChildren(...options);
    this.#select.value = this.#chosen;
    this.#select.disabled = ids.length === 0;
    this.#select.classList.toggle("single", options.length === 1);
  }
}

/** What an empty chat offers to ask, by model. */
export function examplesFor(model, supply) {
  if (supply === "none") return { text: t("The server has no model yet. Download one to begin: it stays on this machine."), examples: [] };
  if (/(^|[/:_-])demo\b/i.test(model)) {
    return {
      text: t("This tiny model knows a small world: short stories, capitals, animals, colours, little sums."),
      examples: ["Tell me a story about a fox.", "What is the capital of Japan?", "What does the owl say?", "What is 7 plus 8?"],
    };
  }
  return {
    text: t("Everything stays between this browser and your server."),
    examples: [t("Explain why the sky is blue, in three sentences."), t("Write a short story about a lighthouse."), t("Write a Go function that reverses a string."), t("What could I cook with rice, eggs and spinach?")],
  };
}
