// The inline structure of Markdown: the text of one block in, a tree of plain
// objects out. Linear in the length of the text, with limited nesting.
//
// Nodes: a string, or
//   {t: "em" | "strong" | "del", kids}
//   {t: "link", href, kids}     href is http, https or mailto, always
//   {t: "code", text}
//   {t: "math", text}           the source with its marks
//   {t: "note", text}           a mark of a footnote, by its name
//   {t: "br"}

const MAX_DEPTH = 20;
const MAX_URL = 2000;
const SPECIAL = /[\\`*_~[\]!<&$\nhH]/g;
const SAFE_START = /<?(?:https?:\/\/|mailto:)/iy;
const URL_START = /https?:\/\//iy;
const BARE_URL = /https?:\/\/[^\s<>"`\\^{}|]{1,2000}/iy;
const ANGLE_URL = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/iy;
const ANGLE_MAIL = /<([\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,8})>/y;
const NOTE = /\[\^([^\]\s]{1,40})\]/y;
const BREAK = /<br[ \t]*\/?>/iy;
const ENTITY = /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos|nbsp|copy|reg|hellip|mdash|ndash|rarr|larr|times|deg));/y;
const ENTITIES = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®",
  hellip: "…", mdash: "—", ndash: "–", rarr: "→", larr: "←", times: "×", deg: "°",
};
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}\p{S}]/u;
const SPACE = /\s/u;

/**
 * Parses the text of a block. With open, the text is still being written:
 * marks that have no partner yet are shown as if it were to come.
 */
export function parseInline(text, { open = false } = {}) {
  if (open) text = hideHalfLink(text);
  const scan = new Scanner(text, open);
  return scan.run();
}

/** The address in its normal form if it is safe to follow, or null. */
export function safeHref(raw) {
  const text = raw.trim();
  if (text.length > MAX_URL || !/^(?:https?:\/\/|mailto:)/i.test(text)) return null;
  let url;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  return url.protocol === "http:" || url.protocol === "https:" || url.protocol === "mailto:" ? url.href : null;
}

/** The text of a tree without its marks. */
export function plainText(nodes) {
  return nodes.map((node) => (typeof node === "string" ? node : node.t === "br" ? "\n" : (node.text ?? plainText(node.kids)))).join("");
}

// The nodes are a doubly linked list while they are being built, so that
// wrapping a stretch of them costs only that stretch.
class List {
  head = null;
  tail = null;

  push(node) {
    node.prev = this.tail;
    node.next = null;
    if (this.tail) this.tail.next = node;
    else this.head = node;
    this.tail = node;
    return node;
  }

  /** Replaces everything strictly between two nodes (null: the end) by one node. */
  wrap(after, before, make) {
    const first = after ? after.next : this.head;
    const kids = [];
    let depth = 0;
    for (let node = first; node !== before; node = node.next) {
      kids.push(node);
      if ((node.depth ?? 0) > depth) depth = node.depth;
    }
    const wrapped = make(kids);
    wrapped.depth = depth + 1;
    wrapped.prev = after;
    wrapped.next = before;
    if (after) after.next = wrapped;
    else this.head = wrapped;
    if (before) before.prev = wrapped;
    else this.tail = wrapped;
    return wrapped;
  }

  remove(node) {
    if (node.prev) node.prev.next = node.next;
    else this.head = node.next;
    if (node.next) node.next.prev = node.prev;
    else this.tail = node.prev;
  }
}

class Scanner {
  constructor(text, open) {
    this.text = text;
    this.open = open;
    this.at = 0;
    this.list = new List();
    this.marks = []; // runs of * _ ~ that may be emphasis
    this.brackets = []; // [ that may begin a link
    this.dead = 0; // so many of them cannot any more: they hold a link already
    this.ticks = null; // positions of runs of backticks by length
    this.missing = new Set(); // closers of math that do not come any more
  }

  run() {
    const { text } = this;
    while (this.at < text.length) {
      SPECIAL.lastIndex = this.at;
      const match = SPECIAL.exec(text);
      const next = match ? match.index : text.length;
      if (next > this.at) this.string(text.slice(this.at, next));
      this.at = next;
      if (next < text.length) this.special(text[next]);
    }
    this.emphasis(0);
    if (this.open) this.closeOpen();
    return finish(this.list.head);
  }

  string(text) {
    const last = this.list.tail;
    if (last && last.t === "text") last.text += text;
    else this.list.push({ t: "text", text });
  }

  special(char) {
    switch (char) {
      case "\\":
        return this.escape();
      case "`":
        return this.code();
      case "*":
      case "_":
      case "~":
        return this.mark(char);
      case "[":
      case "!":
        return this.note() || this.openBracket(char);
      case "]":
        return this.closeBracket();
      case "<":
        return this.angle();
      case "&":
        return this.entity();
      case "$":
        return this.dollar();
      case "\n":
        this.at++;
        this.list.push({ t: "br" });
        return;
      default:
        return this.bareUrl();
    }
  }

  escape() {
    const { text, at } = this;
    const next = text[at + 1];
    if ((next === "(" || next === "[") && this.math(`\\${next}`, next === "(" ? "\\)" : "\\]")) return;
    if (next === "\n") {
      this.at += 1;
    } else if (next !== undefined && /[!-/:-@[-`{-~]/.test(next)) {
      this.string(next);
      this.at += 2;
    } else {
      this.string("\\");
      this.at++;
    }
  }

  /** The mark of a footnote. False if it is none. */
  note() {
    NOTE.lastIndex = this.at;
    const match = NOTE.exec(this.text);
    if (!match || this.text[NOTE.lastIndex] === "(") return false;
    this.list.push({ t: "note", text: match[1] });
    this.at = NOTE.lastIndex;
    return true;
  }

  code() {
    const { text, at } = this;
    const length = runLength(text, at, "`");
    const close = this.closingTicks(length, at + length);
    if (close < 0) {
      if (this.open && length < 3 && !text.includes("`", at + length)) {
        const rest = text.slice(at + length);
        if (rest) this.list.push({ t: "code", text: rest });
        this.at = text.length;
        return;
      }
      this.string(text.slice(at, at + length));
      this.at += length;
      return;
    }
    let inner = text.slice(at + length, close).replace(/\n/g, " ");
    if (inner.length > 2 && inner[0] === " " && inner.endsWith(" ") && inner.trim() !== "") inner = inner.slice(1, -1);
    this.list.push({ t: "code", text: inner });
    this.at = close + length;
  }

  closingTicks(length, from) {
    if (!this.ticks) {
      this.ticks = new Map();
      for (const match of this.text.matchAll(/`+/g)) {
        const runs = this.ticks.get(match[0].length) ?? { at: [], next: 0 };
        runs.at.push(match.index);
        this.ticks.set(match[0].length, runs);
      }
    }
    const runs = this.ticks.get(length);
    if (!runs) return -1;
    while (runs.next < runs.at.length && runs.at[runs.next] < from) runs.next++;
    return runs.next < runs.at.length ? runs.at[runs.next] : -1;
  }

  /** A stretch between marks of math stays exactly as it is. */
  math(open, close) {
    const { text, at } = this;
    if (this.missing.has(close)) return false;
    const end = text.indexOf(close, at + open.length);
    if (end < 0) {
      this.missing.add(close);
      return false;
    }
    this.list.push({ t: "math", text: text.slice(at, end + close.length) });
    this.at = end + close.length;
    return true;
  }

  dollar() {
    const { text, at } = this;
    if (text[at + 1] === "$") {
      if (this.math("$$", "$$")) return;
      this.string("$$");
      this.at += 2;
      return;
    }
    // As in Pandoc: no space inside the marks, no digit after them, so that
    // "$5 and $6" stays money.
    if (text[at + 1] !== undefined && !SPACE.test(text[at + 1])) {
      const limit = Math.min(text.length, at + 400);
      for (let k = at + 1; k < limit && text[k] !== "\n"; k++) {
        if (text[k] === "\\") k++;
        else if (text[k] === "$") {
          if (SPACE.test(text[k - 1]) || /\d/.test(text[k + 1] ?? "")) continue;
          this.list.push({ t: "math", text: text.slice(at, k + 1) });
          this.at = k + 1;
          return;
        }
      }
    }
    this.string("$");
    this.at++;
  }

  mark(char) {
    const { text, at } = this;
    const count = runLength(text, at, char);
    const before = at === 0 ? " " : text[at - 1];
    const after = text[at + count] ?? " ";
    const spaceBefore = SPACE.test(before);
    const spaceAfter = SPACE.test(after);
    const pointBefore = PUNCTUATION.test(before);
    const pointAfter = PUNCTUATION.test(after);
    const left = !spaceAfter && (!pointAfter || spaceBefore || pointBefore);
    const right = !spaceBefore && (!pointBefore || spaceAfter || pointAfter);
    let canOpen = left;
    let canClose = right;
    if (char === "_") {
      canOpen = left && (!right || pointBefore);
      canClose = right && (!left || pointAfter);
    }
    const node = this.list.push({ t: "mark", char, count, length: count, canOpen, canClose });
    this.at += count;
    if (char === "~" && count !== 2) return; // one or three tildes are text
    if (canOpen || canClose) this.marks.push(node);
  }

  openBracket(char) {
    const image = char === "!";
    if (image && this.text[this.at + 1] !== "[") {
      this.string("!");
      this.at++;
      return;
    }
    const source = image ? "![" : "[";
    const node = this.list.push({ t: "bracket", text: source });
    this.brackets.push({ node, image, marks: this.marks.length });
    this.at += source.length;
  }

  closeBracket() {
    const opener = this.brackets.pop();
    const active = this.brackets.length >= this.dead;
    this.dead = Math.min(this.dead, this.brackets.length);
    const target = opener && active ? this.target(this.at + 1) : null;
    if (!target) {
      this.string("]");
      this.at++;
      return;
    }
    this.at = target.end;
    if (opener.image && this.insideLink()) {
      this.list.remove(opener.node); // a picture in a link: its description is the link's text
      return;
    }
    // Another picture becomes a link: the page loads nothing that a model names.
    this.emphasis(opener.marks);
    const { href } = target;
    const link = this.list.wrap(opener.node, null, (kids) => ({ t: "link", href, kids }));
    if (link.kids.length === 0) link.kids.push({ t: "text", text: href });
    this.list.remove(opener.node);
    this.dead = this.brackets.length;
  }

  /** Reads (address "title") at a position. Null unless it is complete and safe. */
  target(from) {
    const { text } = this;
    if (text[from] !== "(") return null;
    let k = from + 1;
    const limit = Math.min(text.length, from + MAX_URL);
    while (k < limit && SPACE.test(text[k])) k++;
    SAFE_START.lastIndex = k;
    if (!SAFE_START.test(text)) return null;
    let raw;
    if (text[k] === "<") {
      const close = k + 1;
      let end = close;
      while (end < limit && text[end] !== ">" && text[end] !== "\n" && text[end] !== "<") end++;
      if (text[end] !== ">") return null;
      raw = text.slice(close, end);
      k = end + 1;
    } else {
      const start = k;
      let depth = 0;
      for (; k < limit && !SPACE.test(text[k]); k++) {
        if (text[k] === "(") depth++;
        else if (text[k] === ")" && depth-- === 0) break;
      }
      raw = text.slice(start, k);
    }
    while (k < limit && SPACE.test(text[k])) k++;
    const quote = text[k];
    if (quote === '"' || quote === "'") {
      k++;
      while (k < limit && text[k] !== quote) k++;
      k++;
      while (k < limit && SPACE.test(text[k])) k++;
    }
    if (text[k] !== ")") return null;
    const href = safeHref(raw);
    return href ? { href, end: k + 1 } : null;
  }

  angle() {
    const { text, at } = this;
    BREAK.lastIndex = at;
    let match = BREAK.exec(text);
    if (match) {
      this.list.push({ t: "br" });
      this.at += match[0].length;
      return;
    }
    ANGLE_URL.lastIndex = at;
    match = ANGLE_URL.exec(text);
    let href = match && safeHref(match[1]);
    if (!match) {
      ANGLE_MAIL.lastIndex = at;
      match = ANGLE_MAIL.exec(text);
      href = match && safeHref(`mailto:${match[1]}`);
    }
    if (href && !this.insideLink()) {
      this.list.push({ t: "link", href, kids: [{ t: "text", text: match[1] }], depth: 1 });
      this.at += match[0].length;
      return;
    }
    this.string("<");
    this.at++;
  }

  entity() {
    ENTITY.lastIndex = this.at;
    const match = ENTITY.exec(this.text);
    if (!match) {
      this.string("&");
      this.at++;
      return;
    }
    const [source, decimal, hex, name] = match;
    const code = decimal ? Number(decimal) : hex ? parseInt(hex, 16) : 0;
    if (name) this.string(ENTITIES[name]);
    else this.string(code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000) ? String.fromCodePoint(code) : "\ufffd");
    this.at += source.length;
  }

  bareUrl() {
    const { text, at } = this;
    URL_START.lastIndex = at;
    if (!URL_START.test(text) || (at > 0 && /[\p{L}\p{N}_]/u.test(text[at - 1])) || this.insideLink()) {
      this.string(text[at]);
      this.at++;
      return;
    }
    BARE_URL.lastIndex = at;
    let url = BARE_URL.exec(text)?.[0] ?? "";
    url = trimUrl(url);
    const href = url && safeHref(url);
    if (!href) {
      this.string(text[at]);
      this.at++;
      return;
    }
    this.list.push({ t: "link", href, kids: [{ t: "text", text: url }], depth: 1 });
    this.at += url.length;
  }

  /** Inside [text] that goes on as a link, addresses are not links of their own. */
  insideLink() {
    return this.brackets.length > this.dead && this.text.slice(this.at, this.at + 500).includes("](");
  }

  /** Pairs the marks from a position of the stack on, as CommonMark describes. */
  emphasis(bottom) {
    const { marks } = this;
    const floors = new Map();
    const stack = []; // openers so far
    for (let m = bottom; m < marks.length; m++) {
      const closer = marks[m];
      while (closer.canClose && closer.count > 0) {
        const key = `${closer.char}${closer.canOpen}${closer.length % 3}`;
        const floor = floors.get(key) ?? 0;
        let o = stack.length - 1;
        while (o >= floor && !pairs(stack[o], closer)) o--;
        if (o < floor) {
          floors.set(key, stack.length);
          break;
        }
        const opener = stack[o];
        const used = opener.count >= 2 && closer.count >= 2 ? 2 : 1;
        if (!this.emphasise(opener, closer, used)) {
          // Every earlier opener would enclose the same too deep nest.
          stack.length = 0;
          floors.clear();
          break;
        }
        stack.length = opener.count > 0 ? o + 1 : o;
        for (const [name, value] of floors) if (value > stack.length) floors.set(name, stack.length);
      }
      if (closer.canOpen && closer.count > 0) stack.push(closer);
    }
    marks.length = bottom;
    if (bottom === 0) this.unpaired = stack;
  }

  emphasise(opener, closer, used) {
    let depth = 0;
    for (let node = opener.next; node !== closer; node = node.next) if ((node.depth ?? 0) > depth) depth = node.depth;
    if (depth >= MAX_DEPTH) return false;
    const t = opener.char === "~" ? "del" : used === 2 ? "strong" : "em";
    this.list.wrap(opener, closer, (kids) => ({ t, kids }));
    opener.count -= used;
    closer.count -= used;
    if (opener.count === 0) this.list.remove(opener);
    if (closer.count === 0) this.list.remove(closer);
    return true;
  }

  /** Shows bold text that is still being written as bold, and no lonely marks at the end. */
  closeOpen() {
    const last = this.list.tail;
    if (last?.t === "mark" && last.char !== "~" && last.count < 3 && !last.canOpen) this.list.remove(last);
    const opener = (this.unpaired ?? []).findLast((mark) => mark.char === "*" && mark.count === 2);
    if (!opener?.next) return;
    for (let node = opener.next; node; node = node.next) if ((node.depth ?? 0) >= MAX_DEPTH) return;
    this.list.wrap(opener, null, (kids) => ({ t: "strong", kids }));
    this.list.remove(opener);
  }
}

function pairs(opener, closer) {
  if (opener.char !== closer.char || opener.count === 0) return false;
  if (opener.char === "~") return opener.count === closer.count;
  // The rule of three: a run that may do both pairs only if the lengths fit.
  if ((opener.canClose || closer.canOpen) && (opener.length + closer.length) % 3 === 0) {
    return opener.length % 3 === 0 && closer.length % 3 === 0;
  }
  return true;
}

/** Turns the linked list into arrays of strings and nodes. */
function finish(head) {
  const kids = [];
  for (let node = head; node; node = node.next) kids.push(node);
  return finishKids(kids);
}

function finishKids(kids) {
  const out = [];
  for (const node of kids) {
    const text = node.t === "text" || node.t === "bracket" ? node.text : node.t === "mark" ? node.char.repeat(node.count) : null;
    if (text !== null) {
      if (typeof out[out.length - 1] === "string") out[out.length - 1] += text;
      else out.push(text);
    } else if (node.t === "br") out.push({ t: "br" });
    else if (node.kids) {
      const inner = { t: node.t, kids: finishKids(node.kids) };
      if (node.href) inner.href = node.href;
      out.push(inner);
    } else out.push({ t: node.t, text: node.text });
  }
  return out;
}

function runLength(text, at, char) {
  let end = at;
  while (text[end] === char) end++;
  return end - at;
}

/** Punctuation after an address belongs to the sentence; so does a ) without its (. */
function trimUrl(url) {
  for (;;) {
    const last = url[url.length - 1];
    if (/[.,;:!?'*_~\]]/.test(last)) url = url.slice(0, -1);
    else if (last === ")" && count(url, ")") > count(url, "(")) url = url.slice(0, -1);
    else return url;
  }
}

function count(text, char) {
  let n = 0;
  for (let k = 0; k < text.length; k++) if (text[k] === char) n++;
  return n;
}

/** While "[text](http…" is being written, only its text is shown. */
function hideHalfLink(text) {
  const from = Math.max(0, text.length - 600);
  const match = /!?\[([^[\]\n]{1,300})\](?:\([^()\s]{0,280})?$/.exec(text.slice(from));
  if (!match || !match[0].includes("(")) return text;
  return text.slice(0, from + match.index) + match[1];
}
