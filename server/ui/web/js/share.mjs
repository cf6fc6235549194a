// A conversation as something to read elsewhere: Markdown, or a page of its own
// that needs nothing but a browser.

import { h } from "./dom.mjs";
import { fileText, pathOf, textOf } from "./conversation.mjs";
import { t } from "./language.mjs";
import { MarkdownView } from "./markdown/view.mjs";

/** Name and words of every message that is shown. */
function parts(conversation) {
  return pathOf(conversation).map((message) => {
    const calls = (message.tools ?? []).map((tool) => [
      fileText({ name: t`call of ${tool.name}`, text: tool.arguments }), ...(typeof tool.result === "string" ? [fileText({ name: t`result of ${tool.name}`, text: tool.result })] : []),
    ].join("\n\n"));
    return { who: message.role === "user" ? t("You") : message.model || t("Answer"), text: [textOf(message), ...calls].filter(Boolean).join("\n\n") };
  });
}

/** The shown path of a conversation as Markdown. */
export function toMarkdown(conversation) {
  const { system } = conversation.settings;
  const all = [...(system ? [{ who: t("System prompt"), text: system }] : []), ...parts(conversation)];
  return `# ${conversation.title}\n\n${all.map(({ who, text }) => `## ${who}\n\n${text}\n`).join("\n")}`;
}

const STYLE = `body{max-width:46rem;margin:2rem auto;padding:0 1rem;font:16px/1.6 system-ui,sans-serif;color-scheme:light dark}
h1{font-size:1.5rem}h2{margin:2rem 0 .5rem;font-size:.9rem;opacity:.7}pre{overflow-x:auto;padding:.8rem 1rem;border-radius:8px;background:rgb(128 128 128/12%)}
code{font:.9em ui-monospace,monospace}.you{padding:.6rem 1rem;border-radius:12px;background:rgb(128 128 128/12%);white-space:pre-wrap;overflow-wrap:anywhere}
table{border-collapse:collapse}.table{overflow-x:auto}th,td{padding:.3rem .8rem;border-bottom:1px solid rgb(128 128 128/40%);text-align:start}blockquote{margin:0;padding-inline-start:1rem;border-inline-start:3px solid rgb(128 128 128/40%)}
.math{font-family:monospace}.note-text{font-size:.9em}`;

/** The shown path of a conversation as one HTML file without scripts. */
export function toPage(conversation) {
  const page = document.implementation.createHTMLDocument(conversation.title);
  page.documentElement.lang = "";
  page.head.prepend(h("meta", { charset: "utf-8" }), h("meta", { "http-equiv": "Content-Security-Policy", content: "default-src 'none'; style-src 'unsafe-inline'" }),
    h("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }));
  page.body.append(h("h1", null, conversation.title));
  for (const [i, { who, text }] of parts(conversation).entries()) {
    const mine = pathOf(conversation)[i].role === "user";
    const body = h("div", { class: mine ? "you" : null, dir: "auto" }, mine ? text : null);
    if (!mine) new MarkdownView(body).update(text);
    page.body.append(h("h2", null, who), body);
  }
  for (const head of page.querySelectorAll(".code-head")) head.remove();
  for (const button of page.querySelectorAll("button")) button.replaceWith(button.textContent);
  for (const element of page.querySelectorAll("[tabindex]")) if (!element.matches("pre, .table, .formula")) element.removeAttribute("tabindex");
  // The page's own policy would keep a style out of the tree, even of a document that nobody sees.
  return `<!doctype html>\n${page.documentElement.outerHTML.replace("</head>", () => `<style>${STYLE}</style></head>`)}\n`;
}
