// The calls of tools in an answer: what the model asks for and what it was told.
// A call without an answer, or one that is to be answered otherwise, is a form.

import { h, icon } from "./dom.mjs";
import { t } from "./language.mjs";
import { runTool, TOOLS } from "./tools.mjs";

/** Whether all calls of a message have answers. */
export function answered(message) {
  return (message.tools ?? []).length > 0 && message.tools.every((tool) => typeof tool.result === "string");
}

export class ToolsView {
  #shown = null;
  #editing = false;
  #answer;

  /** @param answer(tools) called with the calls and their results when they are sent */
  constructor(answer) {
    this.#answer = answer;
    this.element = h("div", { class: "tools" });
  }

  /** Shows the calls of a message; running says that it is being written, last that nothing follows it. */
  update(message, running, last) {
    const tools = message.tools ?? [];
    const key = JSON.stringify([tools, running, last, this.#editing]);
    if (key === this.#shown) return;
    this.#shown = key;
    if (tools.length === 0) {
      this.element.replaceChildren();
      return;
    }
    if (!running && (this.#editing || !answered(message))) {
      this.element.replaceChildren(this.#form(message));
      return;
    }
    this.element.replaceChildren(...tools.map((tool) => card(tool, block(t("Arguments"), pretty(tool.arguments)), tool.result === undefined ? null : block(t("Result"), tool.result))));
    if (running) return;
    if (last) {
      const on = h("button", { type: "button", class: "button" }, t("Go on with these results"));
      on.addEventListener("click", () => this.#answer(tools));
      this.element.append(on);
    }
    const change = h("button", { type: "button", class: "link" }, t("Answer the call otherwise"));
    change.addEventListener("click", () => {
      this.#editing = true;
      this.update(message, false, last);
      this.element.querySelector("textarea").focus();
    });
    this.element.append(change);
  }

  #form(message) {
    const send = h("button", { type: "submit", class: "button primary" }, t("Send the result"));
    const form = h("form", { class: "tool-form" });
    const parts = message.tools.map((tool) => {
      const name = tool.name || t("the tool");
      const call = h("textarea", { class: "mono", rows: "2", spellcheck: "false", "aria-label": t`Arguments of ${name}` });
      call.value = pretty(tool.arguments);
      call.rows = Math.min(10, call.value.split("\n").length);
      const result = h("textarea", { class: "mono", rows: "2", spellcheck: "false", placeholder: t("What the tool answers"), "aria-label": t`Result of ${name}` });
      result.value = tool.result ?? "";
      const foot = h("div", { class: "card-foot" });
      if (Object.hasOwn(TOOLS, tool.name)) {
        const run = h("button", { type: "button", class: "button" }, t("Run"));
        run.addEventListener("click", async () => {
          run.disabled = true;
          result.value = await runTool({ name: tool.name, arguments: call.value });
          run.disabled = false;
        });
        foot.append(run);
      }
      form.append(card(tool, h("label", null, t("Arguments"), call), h("label", null, t("Result"), result), foot));
      return { tool, call, result };
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#editing = false;
      this.#answer(parts.map(({ tool, call, result }) => ({ ...tool, arguments: call.value, result: result.value })));
    });
    form.append(send);
    return form;
  }
}

function card(tool, ...children) {
  return h("div", { class: "card tool" }, icon("tool"),
    h("div", null, h("strong", null, t("The model calls"), " ", h("code", null, tool.name || "…")), ...children));
}

function block(label, text) {
  if (text.trim() === "") return null;
  return h("pre", { tabindex: "0", role: "region", "aria-label": label }, h("code", null, text));
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // still being written, or not JSON: shown as it is
  }
}
