// What is known about how an answer came to be: counts, times, and how sure the
// model was of every token.

import { h } from "./dom.mjs";
import { t } from "./language.mjs";
import { formatDuration, formatNumber, formatPercent, formatSpeed } from "./words.mjs";

/** The figures of an answer as a list. */
export function figures({ model, stats }) {
  const { prompt, cached, read, completion, speed, first, total } = stats;
  const rows = [
    [t("Model"), model],
    [t("Read"), prompt === null ? "" : [t`${formatNumber(prompt)} tokens`, cached ? t`${formatNumber(cached)} of them known from before` : "", read ? formatSpeed(read) : ""].filter(Boolean).join(", ")],
    [t("First token"), first === null ? "" : t`after ${formatDuration(first)}`],
    [t("Written"), [t`${formatNumber(completion)} tokens`, speed ? formatSpeed(speed) : ""].filter(Boolean).join(", ")],
    [t("In all"), total === null ? "" : formatDuration(total)],
  ].filter(([, value]) => value);
  return h("dl", { class: "details figures" }, ...rows.flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

/**
 * The tokens of an answer, coloured by their probability. One that is chosen
 * shows what else could have come; arrow keys walk along.
 * @param tokens [{text, p, top: [{text, p}]}]
 */
export function probabilities(tokens) {
  const shown = h("div", { class: "alternatives", role: "status" }, t("Choose a token to see what else could have come."));
  const box = h("div", { class: "token-text", role: "group", "aria-label": t("Tokens of the answer, by probability") });
  const buttons = tokens.map(({ text, p, top }, i) => {
    const button = h("button", { type: "button", class: `token p${Math.min(4, Math.floor(p * 5))}`, tabindex: i === 0 ? "0" : "-1", "aria-label": `${visible(text)}, ${formatPercent(p)}`, title: formatPercent(p) }, text.replaceAll("\n", "↵\n"));
    button.addEventListener("click", () => {
      box.querySelector("[aria-current]")?.removeAttribute("aria-current");
      button.setAttribute("aria-current", "true");
      shown.replaceChildren(...top.map((other) => h("span", { class: other.text === text ? "chosen" : null }, h("code", null, visible(other.text)), ` ${formatPercent(other.p)}`)));
    });
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = buttons[Math.max(0, Math.min(buttons.length - 1, i + step))];
      button.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      next.click();
    });
    return button;
  });
  box.append(...buttons);
  return h("div", { class: "probabilities" }, box, shown);
}

/** A token with its spaces and line ends to be seen. */
function visible(text) {
  return text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");
}
