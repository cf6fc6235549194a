// The block structure of Markdown: text in, plain objects out. Nothing here
// touches the document, so it can be tested anywhere.
//
// It follows CommonMark and GitHub's tables and task lists where models follow
// them, with the differences that chats want: HTML is text, and a block quote
// ends where its marks end. Every step is linear in the length of the text, and
// nesting is limited, because what a model writes may be hostile.
//
// Blocks:
//   {t: "p", text}                         paragraph
//   {t: "h", level, text}                  heading
//   {t: "code", lang, text, closed}        code, fenced or indented
//   {t: "math", text}                      display math, left as it is
//   {t: "note", name, text}                what a footnote says
//   {t: "hr"}                              rule
//   {t: "quote", blocks}
//   {t: "list", ordered, start, loose, items: [{task: null|false|true, blocks}]}
//   {t: "table", align: [""|"left"|"center"|"right"], head: [text], rows: [[text]]}
//   {t: "raw", text}                       what came after the budget was used up
// Blocks of the outermost level also carry at, the offset of their first line,
// and cost, how much of the budget they took.

/** So many blocks, list items and table rows are shown; what follows stays plain text. */
export const BUDGET = 2500;

const CODE_COST = 8; // a block of code has a head with a button
const MAX_DEPTH = 12;
const MAX_COLUMNS = 64;
const BULLET = /^([-*+])(?:[ \t]|$)/;
const NUMBER = /^(\d{1,9})([.)])(?:[ \t]|$)/;
const FENCE = /^(`{3,}|~{3,})(.*)$/;
const NOTE = /^\[\^([^\]\s]{1,40})\]:[ \t]*(.*)$/;
const TASK = /^\[([ xX])\][ \t]+(?=\S)/;

/** Parses a whole text, or what follows a part that took so much of the budget already. */
export function parseBlocks(text, budget = BUDGET) {
  const lines = text.split("\n");
  const starts = new Array(lines.length);
  let offset = 0;
  for (let i = 0; i < lines.length; i++) {
    starts[i] = offset;
    offset += lines[i].length + 1;
    if (lines[i].endsWith("\r")) lines[i] = lines[i].slice(0, -1);
  }
  const blocks = parse(lines, 0, { left: budget });
  for (const block of blocks) {
    block.at = starts[block.line];
    delete block.line;
  }
  return blocks;
}

function parse(lines, depth, budget) {
  const blocks = [];
  const context = { depth, budget, searched: {} };
  let i = 0;
  while (i < lines.length) {
    if (isBlank(lines[i])) {
      i++;
      continue;
    }
    const before = budget.left;
    const [block, next] = before > 0 ? parseOne(lines, i, context) : [{ t: "raw", text: lines.slice(i).join("\n").trimEnd() }, lines.length];
    budget.left -= block.t === "code" ? CODE_COST : 1;
    if (depth === 0) {
      block.line = i;
      block.cost = before - budget.left;
    }
    blocks.push(block);
    i = next;
  }
  return blocks;
}

/**
 * Parses the block that begins at line i. Returns it and the line after it.
 * context: {depth, budget, searched}, where searched names the ends of display
 * math that are known to be absent.
 */
function parseOne(lines, i, context) {
  const line = lines[i];
  const indent = indentOf(line);
  if (indent >= 4) return indentedCode(lines, i);
  const text = line.trimStart();
  const nests = context.depth < MAX_DEPTH;
  return (
    fencedCode(lines, i, indent, text) ??
    mathBlock(lines, i, text, context.searched) ??
    heading(text, i) ??
    (isRule(text) ? [{ t: "hr" }, i + 1] : null) ??
    (nests && text[0] === ">" ? quote(lines, i, context) : null) ??
    (nests && marker(text) ? list(lines, i, context) : null) ??
    table(lines, i, context) ??
    note(lines, i, context.depth) ??
    paragraph(lines, i, context.depth)
  );
}

function indentedCode(lines, i) {
  const out = [];
  let end = i;
  for (let j = i; j < lines.length; j++) {
    if (isBlank(lines[j])) {
      out.push("");
      continue;
    }
    if (indentOf(lines[j]) < 4) break;
    out.push(unindent(lines[j], 4));
    end = j + 1;
  }
  out.length = end - i;
  return [{ t: "code", lang: "", text: out.join("\n"), closed: true }, end];
}

function fencedCode(lines, i, indent, text) {
  const fence = openingFence(text);
  if (!fence) return null;
  const info = text.slice(fence.length);
  const out = [];
  let j = i + 1;
  let closed = false;
  for (; j < lines.length; j++) {
    if (isClosingFence(lines[j], fence)) {
      closed = true;
      j++;
      break;
    }
    out.push(unindent(lines[j], indent));
  }
  const lang = info.trim().split(/[\s,{]/, 1)[0].slice(0, 40);
  return [{ t: "code", lang, text: out.join("\n"), closed }, j];
}

/** The marks of a fence that a line without indentation opens, or null. */
function openingFence(text) {
  const match = FENCE.exec(text);
  return match && !(match[1][0] === "`" && match[2].includes("`")) ? match[1] : null;
}

function isClosingFence(line, fence) {
  if (indentOf(line) >= 4) return false;
  const text = line.trim();
  if (text.length < fence.length) return false;
  for (let k = 0; k < text.length; k++) if (text[k] !== fence[0]) return false;
  return true;
}

function mathBlock(lines, i, text, searched) {
  const open = text.startsWith("$$") ? "$$" : text.startsWith("\\[") ? "\\[" : null;
  if (!open) return null;
  const close = open === "$$" ? "$$" : "\\]";
  const first = text.slice(2).trimEnd();
  if (first.includes(close)) {
    return first.indexOf(close) === first.length - 2 ? [{ t: "math", text: text.trimEnd() }, i + 1] : null;
  }
  if (searched[close]) return null;
  for (let j = i + 1; j < lines.length; j++) {
    if (lines[j].trimEnd().endsWith(close)) {
      return [{ t: "math", text: lines.slice(i, j + 1).join("\n").trim() }, j + 1];
    }
  }
  searched[close] = true;
  return null;
}

function heading(text, i) {
  const level = headingLevel(text);
  if (level === 0) return null;
  let title = text.slice(level).trim();
  let end = title.length;
  while (end > 0 && title[end - 1] === "#") end--;
  if (end === 0) title = "";
  else if (end < title.length && isSpace(title[end - 1])) title = title.slice(0, end).trimEnd();
  return [{ t: "h", level, text: title }, i + 1];
}

function headingLevel(text) {
  let level = 0;
  while (level < 7 && text[level] === "#") level++;
  if (level === 0 || level > 6) return 0;
  return level === text.length || isSpace(text[level]) ? level : 0;
}

function isRule(text) {
  const mark = text[0];
  if (mark !== "-" && mark !== "*" && mark !== "_") return false;
  let count = 0;
  for (let k = 0; k < text.length; k++) {
    if (text[k] === mark) count++;
    else if (!isSpace(text[k])) return false;
  }
  return count >= 3;
}

function quote(lines, i, { depth, budget }) {
  const inner = [];
  let j = i;
  for (; j < lines.length; j++) {
    if (indentOf(lines[j]) >= 4) break;
    const text = lines[j].trimStart();
    if (text[0] !== ">") break;
    inner.push(text[1] === " " ? text.slice(2) : text.slice(1));
  }
  return [{ t: "quote", blocks: parse(inner, depth + 1, budget) }, j];
}

/** The list marker that a line without indentation begins with, or null. */
function marker(text) {
  let match = BULLET.exec(text);
  if (match) return { kind: match[1], ordered: false, start: 0, width: 1 };
  match = NUMBER.exec(text);
  if (match) return { kind: match[2], ordered: true, start: Number(match[1]), width: match[1].length + 1 };
  return null;
}

function list(lines, i, context) {
  const base = indentOf(lines[i]);
  const first = marker(lines[i].trimStart());
  const items = [];
  let loose = false;
  let j = i;
  for (;;) {
    const item = listItem(lines, j, context);
    items.push({ task: item.task, blocks: item.blocks });
    loose ||= item.loose;
    j = item.next;
    if (--context.budget.left <= 0) break;
    // Blank lines may stand between items; after the last one they end the list.
    let k = j;
    while (k < lines.length && isBlank(lines[k])) k++;
    if (k === lines.length || indentOf(lines[k]) > base + 3) break;
    const text = lines[k].trimStart();
    if (marker(text)?.kind !== first.kind || isRule(text)) break;
    loose ||= k > j;
    j = k;
  }
  return [{ t: "list", ordered: first.ordered, start: first.start, loose, items }, j];
}

function listItem(lines, i, { depth, budget }) {
  const base = indentOf(lines[i]);
  const { width } = marker(lines[i].trimStart());
  const after = unindent(lines[i], base).slice(width);
  const gap = indentOf(after);
  const pad = isBlank(after) || gap > 4 ? 1 : gap;
  let column = base + width + pad; // where the item's text begins
  let head = unindent(after, pad);
  let task = null;
  const match = TASK.exec(head);
  if (match) {
    task = match[1] !== " ";
    head = head.slice(match[0].length);
  }
  const inner = [head];
  let fence = openingFence(head);
  let blank = false;
  let loose = false;
  let j = i + 1;
  for (; j < lines.length; j++) {
    const line = lines[j];
    if (isBlank(line)) {
      inner.push("");
      blank = true;
      continue;
    }
    const here = indentOf(line);
    const text = line.trimStart();
    if (here < column && here >= base + 2 && !fence && marker(text) && !isRule(text)) {
      column = here; // models often indent nested lists by less than the text of the outer item
    }
    if (here >= column) {
      if (blank && !fence && !marker(text)) loose = true;
      inner.push(unindent(line, column));
    } else if (!blank && !fence && !marker(text) && !startsBlock(lines, j)) {
      inner.push(text); // the paragraph goes on without indentation
    } else break;
    blank = false;
    const last = inner[inner.length - 1];
    if (!fence) fence = openingFence(last.trimStart());
    else if (isClosingFence(last, fence)) fence = null;
  }
  while (j > i + 1 && isBlank(lines[j - 1])) {
    inner.pop();
    j--;
  }
  return { task, blocks: parse(inner, depth + 1, budget), loose, next: j };
}

function table(lines, i, { budget }) {
  if (!isTable(lines, i)) return null;
  const head = splitRow(lines[i]);
  const align = splitRow(lines[i + 1]).map((cell) => {
    const left = cell[0] === ":";
    const right = cell[cell.length - 1] === ":";
    return left && right ? "center" : left ? "left" : right ? "right" : "";
  });
  const rows = [];
  let j = i + 2;
  for (; j < lines.length; j++) {
    if (isBlank(lines[j]) || !lines[j].includes("|")) break;
    if (startsBlock(lines, j)) break;
    if (--budget.left <= 0) break;
    rows.push(splitRow(lines[j]).slice(0, head.length));
  }
  return [{ t: "table", align, head, rows }, j];
}

function isTable(lines, i) {
  if (i + 1 >= lines.length || !lines[i].includes("|")) return false;
  const rule = lines[i + 1];
  const first = rule.trimStart()[0];
  if (first !== "|" && first !== "-" && first !== ":") return false;
  if (!rule.includes("-") || indentOf(rule) >= 4) return false;
  const cells = splitRow(rule);
  if (cells.length > MAX_COLUMNS) return false;
  if (!cells.every((cell) => /^:?-+:?$/.test(cell))) return false;
  return splitRow(lines[i]).length === cells.length && (cells.length > 1 || rule.includes("|"));
}

/** Cells between the bars of a row; \| is a bar in a cell. */
function splitRow(line) {
  const text = line.trim();
  const cells = [];
  let cell = "";
  let k = text[0] === "|" ? 1 : 0;
  let open = true;
  for (; k < text.length; k++) {
    if (text[k] === "\\" && text[k + 1] === "|") {
      cell += "|";
      k++;
    } else if (text[k] === "|") {
      cells.push(cell.trim());
      cell = "";
      open = k + 1 < text.length;
    } else cell += text[k];
  }
  if (open) cells.push(cell.trim());
  return cells;
}

function note(lines, i, depth) {
  const match = NOTE.exec(lines[i].trim());
  if (!match) return null;
  const [rest, next] = paragraph(lines, i, depth);
  // One whose second line would make it a heading stays a paragraph.
  return rest.t === "p" ? [{ t: "note", name: match[1], text: rest.text.slice(rest.text.indexOf("]:") + 2).trim() }, next] : null;
}

function paragraph(lines, i, depth) {
  const out = [lines[i].trim()];
  let j = i + 1;
  for (; j < lines.length; j++) {
    const line = lines[j];
    if (isBlank(line)) break;
    if (indentOf(line) < 4) {
      const text = line.trim();
      if (/^=+$/.test(text)) return [{ t: "h", level: 1, text: out.join("\n") }, j + 1];
      if (/^-+$/.test(text) && text.length > 1) return [{ t: "h", level: 2, text: out.join("\n") }, j + 1];
      if (startsBlock(lines, j, depth)) break;
    }
    // Two spaces at the end ask for a line break; every line break is kept anyway.
    out.push(line.trim());
  }
  return [{ t: "p", text: out.join("\n") }, j];
}

/** Whether line j begins a block that may interrupt a paragraph. */
function startsBlock(lines, j, depth = 0) {
  const line = lines[j];
  if (indentOf(line) >= 4) return false;
  const text = line.trimStart();
  if (headingLevel(text) > 0 || isRule(text) || openingFence(text) || NOTE.test(text)) return true;
  if (depth < MAX_DEPTH) {
    if (text[0] === ">") return true;
    const mark = marker(text);
    if (mark && (!mark.ordered || mark.start === 1) && text.trimEnd().length > mark.width) return true;
  }
  return isTable(lines, j);
}

function isBlank(line) {
  for (let k = 0; k < line.length; k++) if (!isSpace(line[k])) return false;
  return true;
}

function isSpace(char) {
  return char === " " || char === "\t";
}

/** The width of the leading white space, tabs to stops of four. */
function indentOf(line) {
  let width = 0;
  for (let k = 0; k < line.length; k++) {
    if (line[k] === " ") width++;
    else if (line[k] === "\t") width += 4 - (width % 4);
    else break;
  }
  return width;
}

/** Takes up to n columns of leading white space away. */
function unindent(line, n) {
  let width = 0;
  let k = 0;
  while (k < line.length && width < n) {
    if (line[k] === " ") width++;
    else if (line[k] === "\t") width += 4 - (width % 4);
    else break;
    k++;
  }
  return " ".repeat(Math.max(0, width - n)) + line.slice(k);
}
