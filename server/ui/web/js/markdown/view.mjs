// Shows Markdown that grows. Only the end of the text is parsed again when more
// of it arrives, and only what changed is built again, so long answers stay
// smooth. Every node is made by createElement and filled with text: nothing
// that a model writes is ever parsed as HTML.

import { h, icon, copyText } from "../dom.mjs";
import { t } from "../language.mjs";
import { BUDGET, parseBlocks } from "./blocks.mjs";
import { parseInline } from "./inline.mjs";
import { mathTree } from "./math.mjs";
import { languageOf, tokenizeLine } from "./highlight.mjs";

const MATHML = "http://www.w3.org/1998/Math/MathML";
const AUTO = { dir: "auto" }; // the script decides where a line begins
const MAX_HIGHLIGHT = 50_000; // characters of one block of code
const MAX_INLINE = 10_000; // characters of one paragraph; a longer one is no prose

export class MarkdownView {
  #root;
  #text = "";
  #settled = 0; // the text before this offset will not change any more
  #settledViews = 0;
  #settledCost = 0;
  #views = []; // one per outermost block

  /** @param {HTMLElement} root the element to fill */
  constructor(root) {
    this.#root = root;
    root.classList.add("md");
  }

  /** Shows a text. With open, more is to come. Text that continues the last one is cheap. */
  update(text, open = false) {
    if (!text.startsWith(this.#text.slice(0, this.#settled))) {
      this.#settled = 0;
      this.#settledViews = 0;
      this.#settledCost = 0;
    }
    this.#text = text;
    const blocks = parseBlocks(this.#settled === 0 ? text : text.slice(this.#settled), BUDGET - this.#settledCost);
    const kept = this.#views.slice(0, this.#settledViews);
    const tail = patchBlocks(this.#root, this.#views.slice(this.#settledViews), blocks, open);
    this.#views = kept.concat(tail);
    // The last two blocks may still turn into something else: a paragraph into
    // a heading or a table, a list item into a rule.
    if (open && blocks.length > 2) {
      const count = blocks.length - 2;
      this.#settled += blocks[count].at;
      this.#settledViews += count;
      for (const block of blocks.slice(0, count)) this.#settledCost += block.cost;
    }
  }
}

/** Renders a text once, into a fragment. */
export function renderInline(text, open = false) {
  const fragment = document.createDocumentFragment();
  if (text.length > MAX_INLINE) fragment.append(h("span", { class: "raw" }, text));
  else appendInline(fragment, parseInline(text, { open }), false);
  return fragment;
}

function appendInline(parent, nodes, inLink) {
  for (const node of nodes) {
    if (typeof node === "string") parent.append(node);
    else parent.append(inlineNode(node, inLink));
  }
}

function inlineNode(node, inLink) {
  switch (node.t) {
    case "br":
      return h("br");
    case "code":
      return h("code", null, node.text);
    case "math":
      return formula(node.text) ?? h("span", { class: "math" }, node.text);
    case "note":
      return noteMark(node.text);
    case "link": {
      if (inLink) break;
      const mail = node.href.startsWith("mailto:");
      const link = h("a", { href: node.href, rel: "noopener noreferrer nofollow", title: node.href });
      if (!mail) link.target = "_blank";
      appendInline(link, node.kids, true);
      return link;
    }
    case "strong":
    case "em":
    case "del": {
      const element = h(node.t);
      appendInline(element, node.kids, inLink);
      return element;
    }
  }
  const fragment = document.createDocumentFragment();
  appendInline(fragment, node.kids, inLink);
  return fragment;
}

/** A formula as MathML, or null if it has something that is not known. */
function formula(source) {
  const tree = mathTree(source);
  return tree && mathNode(tree);
}

function mathNode([name, attributes, ...kids]) {
  const element = document.createElementNS(MATHML, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const kid of kids) element.append(typeof kid === "string" ? kid : mathNode(kid));
  return element;
}

/** The mark of a footnote leads to what it says, in the same answer. */
function noteMark(name) {
  const button = h("button", { type: "button", class: "link", "aria-label": t`Footnote ${name}` }, name);
  button.addEventListener("click", () => {
    const target = button.closest(".content, .thought")?.querySelector(`[data-note="${CSS.escape(name)}"]`);
    target?.scrollIntoView({ block: "nearest" });
    target?.focus({ preventScroll: true });
  });
  return h("sup", null, button);
}

// A view is {block, open, element, …}: what is shown for a block, and enough to
// change it into what its successor needs.

function patchBlocks(parent, views, blocks, open) {
  const out = [];
  for (let i = 0; i < blocks.length; i++) {
    const isOpen = open && i === blocks.length - 1;
    const old = views[i];
    if (old && patch(old, blocks[i], isOpen)) {
      out.push(old);
      continue;
    }
    const view = build(blocks[i], isOpen);
    if (old) old.element.replaceWith(view.element);
    else parent.append(view.element);
    out.push(view);
  }
  for (let i = blocks.length; i < views.length; i++) views[i].element.remove();
  return out;
}

function build(block, open) {
  const view = { block, open, element: null };
  switch (block.t) {
    case "p":
      view.element = h("p", AUTO, renderInline(block.text, open));
      break;
    case "h": {
      // The page has its own h1 and each message an h2: answers begin below them.
      view.element = h(`h${Math.min(6, block.level + 2)}`, { class: `h${block.level}`, ...AUTO }, renderInline(block.text, open));
      break;
    }
    case "hr":
      view.element = h("hr");
      break;
    case "math": {
      const shown = formula(block.text);
      // A formula that is wider than the page scrolls by itself, also with the keyboard.
      view.element = shown ? h("div", { class: "formula", tabindex: "0", role: "group", "aria-label": t("Formula") }, shown) : h("p", { class: "math" }, block.text);
      break;
    }
    case "raw":
      view.element = h("p", { class: "raw" }, block.text);
      break;
    case "note":
      view.element = h("p", { class: "note-text", ...AUTO, "data-note": block.name, tabindex: "-1" }, h("span", { class: "note-name" }, block.name), " ", renderInline(block.text, open));
      break;
    case "code":
      buildCode(view);
      break;
    case "quote":
      view.element = h("blockquote", { dir: directionOf(block) });
      view.views = patchBlocks(view.element, [], block.blocks, open);
      break;
    case "list":
      view.element = h(block.ordered ? "ol" : "ul", { dir: directionOf(block), start: block.ordered && block.start !== 1 ? String(block.start) : null });
      view.items = [];
      patchItems(view, block, open);
      break;
    case "table":
      buildTable(view, open);
      break;
  }
  return view;
}

/** Changes a view into that of another block. False: it must be built anew. */
function patch(view, block, open) {
  const old = view.block;
  if (old.t !== block.t) return false;
  switch (block.t) {
    case "hr":
      break;
    case "math":
      return old.text === block.text;
    case "note":
      return old.name === block.name && old.text === block.text && view.open === open;
    case "raw":
      if (old.text !== block.text) view.element.textContent = block.text;
      break;
    case "p":
    case "h":
      if (old.level !== block.level) return false;
      if (old.text !== block.text || view.open !== open) view.element.replaceChildren(renderInline(block.text, open));
      break;
    case "code":
      if (old.lang !== block.lang || !block.text.startsWith(old.text)) return false;
      if (old.text !== block.text) growCode(view, block.text);
      break;
    case "quote":
      if (directionOf(block)) view.element.dir = "rtl";
      view.views = patchBlocks(view.element, view.views, block.blocks, open);
      break;
    case "list":
      if (old.ordered !== block.ordered || old.start !== block.start) return false;
      patchItems(view, block, open);
      break;
    case "table":
      if (!patchTable(view, block, open)) return false;
      break;
  }
  view.block = block;
  view.open = open;
  return true;
}

/** "rtl" for a list or quote whose first letter is of such a script; what is in it decides for itself. */
function directionOf(block) {
  let first = block;
  while (first && first.text === undefined) first = (first.items?.[0] ?? first).blocks?.[0];
  const letter = /\p{L}/u.exec(first?.text ?? "")?.[0] ?? "";
  return /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(letter) ? "rtl" : null;
}

function patchItems(view, block, open) {
  if (directionOf(block)) view.element.dir = "rtl"; // its first letter may have come only now
  view.element.classList.toggle("loose", block.loose);
  block.items.forEach((item, i) => {
    const isOpen = open && i === block.items.length - 1;
    let shown = view.items[i];
    if (shown && shown.task !== item.task) {
      for (const dropped of view.items.splice(i)) dropped.element.remove();
      shown = undefined;
    }
    if (!shown) {
      const element = h("li");
      let body = element;
      if (item.task !== null) {
        element.className = "task";
        const box = h("input", { type: "checkbox", disabled: "", "aria-label": item.task ? t("done") : t("to do") });
        box.checked = item.task;
        body = h("div");
        element.append(box, body);
      }
      shown = { task: item.task, element, body, views: [] };
      view.items.push(shown);
      view.element.append(element);
    }
    shown.views = patchBlocks(shown.body, shown.views, item.blocks, isOpen);
  });
  for (const dropped of view.items.splice(block.items.length)) dropped.element.remove();
}

function buildTable(view, open) {
  const { block } = view;
  const head = h("tr");
  block.head.forEach((cell, i) => head.append(tableCell("th", cell, block.align[i], false)));
  view.rows = [];
  view.body = h("tbody");
  // A table that is wider than the page scrolls by itself, also with the keyboard.
  view.element = h("div", { class: "table", tabindex: "0", role: "region", "aria-label": t("Table") },
    h("table", null, h("thead", null, head), view.body));
  growTable(view, block, open);
}

function patchTable(view, block, open) {
  const old = view.block;
  if (old.head.join("|") !== block.head.join("|") || old.align.join("|") !== block.align.join("|")) return false;
  growTable(view, block, open);
  return true;
}

function growTable(view, block, open) {
  block.rows.forEach((row, i) => {
    const isOpen = open && i === block.rows.length - 1;
    const shown = view.rows[i];
    if (shown && !shown.open && !isOpen && shown.row.length === row.length && shown.row.every((cell, c) => cell === row[c])) return;
    const element = h("tr");
    row.forEach((cell, c) => element.append(tableCell("td", cell, block.align[c], isOpen && c === row.length - 1)));
    if (shown) shown.element.replaceWith(element);
    else view.body.append(element);
    view.rows[i] = { row, element, open: isOpen };
  });
  for (const dropped of view.rows.splice(block.rows.length)) dropped.element.remove();
}

function tableCell(tag, text, align, open) {
  const cell = h(tag, { ...AUTO, class: align ? `to-${align}` : null }, renderInline(text, open));
  if (tag === "th") cell.scope = "col";
  return cell;
}

function buildCode(view) {
  const { block } = view;
  view.code = h("code");
  view.language = languageOf(block.lang);
  view.shown = 0; // so much of the text is shown in whole lines
  view.state = null; // of the highlighter after them
  view.last = null; // the nodes of the last line, which may grow
  const copy = h("button", { type: "button", class: "copy-code", "aria-label": t("Copy code") }, icon("copy"), h("span", null, t("Copy")));
  copy.addEventListener("click", () => copyText(view.block.text, copy));
  view.element = h("div", { class: "code" },
    h("div", { class: "code-head" }, h("span", { class: "lang" }, block.lang || "text"), copy),
    h("pre", { tabindex: "0", role: "region", "aria-label": block.lang ? t`Code, ${block.lang}` : t("Code") }, view.code));
  growCode(view, block.text);
}

function growCode(view, text) {
  for (const node of view.last ?? []) node.remove();
  const language = text.length > MAX_HIGHLIGHT ? null : view.language;
  const fragment = document.createDocumentFragment();
  if (!language) {
    // Without colours whole lines need no nodes of their own.
    const end = text.lastIndexOf("\n") + 1;
    if (end > view.shown) fragment.append(text.slice(view.shown, end));
    view.shown = Math.max(view.shown, end);
  } else {
    for (;;) {
      const end = text.indexOf("\n", view.shown);
      if (end < 0) break;
      const line = text.slice(view.shown, end);
      const { tokens, state } = tokenizeLine(language, line, view.state);
      appendTokens(fragment, tokens);
      fragment.append("\n");
      view.state = state;
      view.shown = end + 1;
    }
  }
  const rest = document.createDocumentFragment();
  appendTokens(rest, tokenizeLine(language, text.slice(view.shown), view.state).tokens);
  view.last = [...rest.childNodes];
  fragment.append(rest);
  view.code.append(fragment);
}

const TOKEN_CLASS = { k: "k", t: "t", s: "s", n: "n", c: "c", f: "f", a: "a", "+": "ins", "-": "rem", "@": "at" };

function appendTokens(parent, tokens) {
  for (const [kind, text] of tokens) {
    const name = TOKEN_CLASS[kind];
    parent.append(name ? h("span", { class: `tk-${name}` }, text) : text);
  }
}
