// The drawer with the settings of the chat: system prompt and sampling.

import { h, byId } from "./dom.mjs";
import { FIELDS, defaultSettings, extraProblem, normalizeSettings, objectProblem, validNumber } from "./conversation.mjs";
import { chooseLanguage, chosenLanguage, LANGUAGES, t } from "./language.mjs";
import { readPresets, writePresets } from "./presets.mjs";
import { titlesWanted, wantTitles } from "./titles.mjs";
import { TOOLS } from "./tools.mjs";
import { toast } from "./toast.mjs";

const DEFAULTS = "trit.defaults";

const text = { type: "string" };

/** Schemas to begin with. */
const SCHEMAS = {
  [t("Any JSON")]: {},
  [t("A person")]: { type: "object", properties: { name: text, age: { type: "integer", minimum: 0 }, city: text }, required: ["name", "age", "city"], additionalProperties: false },
  [t("A choice")]: { type: "object", properties: { label: { type: "string", enum: ["positive", "neutral", "negative"] }, reason: text }, required: ["label", "reason"], additionalProperties: false },
  [t("A table")]: { type: "array", minItems: 1, maxItems: 20, items: { type: "object", properties: { name: text, amount: { type: "number" } }, required: ["name", "amount"], additionalProperties: false } },
};

/** The settings that new chats begin with. */
export function loadDefaults() {
  try {
    return normalizeSettings(JSON.parse(localStorage.getItem(DEFAULTS) ?? "null"));
  } catch {
    return defaultSettings();
  }
}

export class SettingsDrawer {
  #dialog = byId("settings");
  #settings = null;
  #onChange;
  #inputs = new Map();

  /** @param {() => void} onChange called after a setting has changed */
  constructor(onChange) {
    this.#onChange = onChange;
    byId("set-fields").append(...FIELDS.map((field) => this.#field(field)));
    byId("set-tools").append(...Object.entries(TOOLS).map(([name, { label, description }]) => {
      const box = h("input", { type: "checkbox", value: name, "aria-describedby": `set-tool-${name}` });
      box.addEventListener("change", () => this.#set("tools", this.#tools().filter((other) => other.checked).map(({ value }) => value)));
      return h("div", null, h("label", { class: "check" }, box, ` ${t(label)}`), h("p", { class: "hint", id: `set-tool-${name}` }, t(description)));
    }));
    byId("settings-form").addEventListener("submit", (event) => event.preventDefault());
    byId("set-system").addEventListener("input", (event) => this.#set("system", event.target.value));
    byId("set-stop").addEventListener("input", (event) => {
      this.#set("stop", event.target.value.split("\n").filter((line) => line !== "").slice(0, 16));
    });
    byId("set-schema").addEventListener("input", (event) => this.#setSchema(event.target));
    byId("set-schema-example").append(...Object.keys(SCHEMAS).map((name) => h("option", null, name)));
    byId("set-schema-example").addEventListener("change", ({ target }) => {
      const area = byId("set-schema");
      area.value = SCHEMAS[target.value] ? JSON.stringify(SCHEMAS[target.value], null, 2) : "";
      target.selectedIndex = 0;
      this.#setSchema(area);
    });
    byId("set-probabilities").addEventListener("change", (event) => this.#set("probabilities", event.target.checked));
    byId("set-extra").addEventListener("input", (event) => this.#setExtra(event.target));
    byId("set-language").append(h("option", { value: "" }, t("As in the browser")), ...Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code }, name)));
    byId("set-language").addEventListener("change", ({ target }) => {
      if (chooseLanguage(target.value)) location.reload();
    });
    byId("set-titles").addEventListener("change", ({ target }) => wantTitles(target.checked));
    byId("preset").addEventListener("change", ({ target }) => this.#usePreset(target.value));
    byId("preset-save").addEventListener("click", () => this.#savePreset());
    byId("preset-name").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      this.#savePreset();
    });
    byId("preset-delete").addEventListener("click", () => this.#deletePreset());
    byId("set-reset").addEventListener("click", () => {
      const before = structuredClone(this.#settings);
      const settings = this.#settings;
      this.#assign(settings, defaultSettings());
      toast(t("The settings were reset."), { label: t("Undo"), run: () => this.#assign(settings, before) });
    });
    byId("set-default").addEventListener("click", () => {
      try {
        localStorage.setItem(DEFAULTS, JSON.stringify(this.#settings));
        toast(t("New chats begin with these settings."));
      } catch {
        toast(t("The browser's storage is full: the settings could not be kept."));
      }
    });
  }

  /** Opens the drawer for the settings of a conversation; known are the server's own defaults. */
  open(settings, known) {
    this.#settings = settings;
    for (const { field, number, range } of this.#inputs.values()) {
      const value = known?.[field.name];
      const usable = typeof value === "number" && value >= field.min && value <= field.max;
      number.placeholder = usable ? String(Math.round(value * 1000) / 1000) : t("auto");
      if (range) range.dataset.rest = String(usable ? value : field.name === "min_p" ? 0 : 1);
    }
    this.#fill();
    this.#dialog.showModal();
  }

  #usePreset(name) {
    const preset = readPresets().find((other) => other.name === name);
    byId("preset-delete").disabled = !preset;
    if (!preset) return;
    const settings = this.#settings;
    const before = structuredClone(settings);
    this.#assign(settings, normalizeSettings(preset.settings));
    byId("preset").value = name;
    byId("preset-delete").disabled = false;
    toast(t`The settings are those of “${name}”.`, { label: t("Undo"), run: () => this.#assign(settings, before) });
  }

  #savePreset() {
    const name = byId("preset-name").value.trim();
    if (name === "") {
      byId("preset-name").focus();
      return;
    }
    const presets = [...readPresets().filter((other) => other.name !== name), { name, settings: this.#settings }];
    if (!writePresets(presets)) return;
    byId("preset-name").value = "";
    this.#showPresets(name);
    toast(t`“${name}” is kept as a preset.`);
  }

  #deletePreset() {
    const before = readPresets();
    const name = byId("preset").value;
    if (!writePresets(before.filter((other) => other.name !== name))) return;
    this.#showPresets("");
    byId("preset").focus();
    toast(t`The preset “${name}” was deleted.`, { label: t("Undo"), run: () => writePresets(before) && this.#showPresets(name) });
  }

  #showPresets(chosen) {
    const names = readPresets().map(({ name }) => name);
    byId("preset").replaceChildren(h("option", { value: "" }, names.length > 0 ? t("Choose…") : t("None yet")), ...names.map((name) => h("option", { value: name }, name)));
    byId("preset").value = chosen;
    byId("preset-delete").disabled = chosen === "";
  }

  #tools() {
    return [...byId("set-tools").querySelectorAll("input")];
  }

  #assign(settings, values) {
    Object.assign(settings, structuredClone(values));
    if (settings === this.#settings) this.#fill();
    this.#onChange();
  }

  #set(name, value) {
    this.#settings[name] = value;
    this.#onChange();
  }

  #setExtra(area) {
    this.#setJson("extra", area, extraProblem(area.value));
  }

  #setSchema(area) {
    this.#setJson("schema", area, objectProblem(area.value));
  }

  #setJson(name, area, problem) {
    area.setAttribute("aria-invalid", problem ? "true" : "false");
    byId(`set-${name}-problem`).textContent = problem ? t`${problem} It is not used as it stands.` : "";
    this.#set(name, problem ? "" : area.value.trim());
  }

  #fill() {
    const settings = this.#settings;
    this.#showPresets("");
    byId("set-system").value = settings.system;
    byId("set-stop").value = settings.stop.join("\n");
    for (const box of this.#tools()) box.checked = settings.tools.includes(box.value);
    byId("set-probabilities").checked = settings.probabilities;
    byId("set-titles").checked = titlesWanted();
    byId("set-language").value = chosenLanguage();
    for (const name of ["extra", "schema"]) {
      const area = byId(`set-${name}`);
      area.value = settings[name];
      area.removeAttribute("aria-invalid");
      byId(`set-${name}-problem`).textContent = "";
    }
    for (const { field, number, range, clear, problem } of this.#inputs.values()) {
      const value = settings[field.name];
      number.value = value === null ? "" : String(value);
      number.removeAttribute("aria-invalid");
      problem.textContent = "";
      showValue(range, clear, value);
    }
  }

  #field(field) {
    const id = `set-${field.name}`;
    const number = h("input", { type: "number", id, name: field.name, inputmode: field.integer ? "numeric" : "decimal", step: "any", min: String(field.min), max: String(field.max), "aria-describedby": `${id}-hint ${id}-problem` });
    const problem = h("p", { class: "problem", id: `${id}-problem`, role: "alert" });
    const clear = h("button", { type: "button", class: "clear", "aria-label": t`Leave ${field.label} to the server`, title: t("Leave it to the server") }, t("auto"));
    const slides = !field.integer;
    const range = slides ? h("input", { type: "range", tabindex: "-1", "aria-hidden": "true", min: String(field.min), max: String(field.max), step: String(field.step) }) : null;
    const store = (value) => {
      showValue(range, clear, value);
      this.#set(field.name, value);
    };
    number.addEventListener("input", () => {
      const empty = number.value.trim() === "" && !number.validity.badInput;
      const value = empty ? null : validNumber(field, number.valueAsNumber);
      const wrong = !empty && value === null;
      number.setAttribute("aria-invalid", wrong ? "true" : "false");
      problem.textContent = wrong ? field.integer ? t`A whole number from ${field.min} to ${field.max}.` : t`A number from ${field.min} to ${field.max}.` : "";
      store(value);
    });
    range?.addEventListener("input", () => {
      number.value = range.value;
      number.removeAttribute("aria-invalid");
      problem.textContent = "";
      store(range.valueAsNumber);
    });
    clear.addEventListener("click", () => {
      number.value = "";
      number.removeAttribute("aria-invalid");
      problem.textContent = "";
      store(null);
      number.focus();
    });
    this.#inputs.set(field.name, { field, number, range, clear, problem });
    return h("div", { class: slides ? "field slides" : "field" },
      h("label", { for: id }, field.label), range, clear, number,
      h("p", { class: "hint", id: `${id}-hint` }, field.hint), problem);
  }
}

function showValue(range, clear, value) {
  clear.hidden = value === null;
  if (!range) return;
  range.classList.toggle("unset", value === null);
  range.value = value === null ? range.dataset.rest : String(value);
}
