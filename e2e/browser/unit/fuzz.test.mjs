// What a model or a file may send, made up: pieces of Markdown, formulas, code, events and kept chats in any order.
// FUZZ_ROUNDS says how many of each, FUZZ_SEED where they begin; a failure names its seed.
import assert from "node:assert/strict";
import test from "node:test";
import { parseBlocks } from "../../../server/ui/web/js/markdown/blocks.mjs";
import { parseInline, plainText } from "../../../server/ui/web/js/markdown/inline.mjs";
import { languageOf, tokenizeLine } from "../../../server/ui/web/js/markdown/highlight.mjs";
import { mathTree } from "../../../server/ui/web/js/markdown/math.mjs";
import { EventParser } from "../../../server/ui/web/js/sse.mjs";
import { exportFile, importFile, normalizeConversation } from "../../../server/ui/web/js/conversation.mjs";

const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 2000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

/** A source of numbers that one number decides. */
class Source {
  constructor(seed) { this.state = (seed * 2654435761) >>> 0; }
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return (x ^ (x >>> 14)) >>> 0;
  }
  below(n) { return this.next() % n; }
  pick(list) { return list[this.below(list.length)]; }
  text(pieces, most) {
    let out = "";
    for (let n = this.below(most); n >= 0; n--) {
      const piece = this.pick(pieces);
      out += this.below(20) === 0 ? piece.repeat(this.below(30)) : piece;
    }
    return out;
  }
}

/** Calls check with a source for every round. */
function rounds(name, check) {
  test(`fuzz: ${name}`, () => {
    for (let round = 0; round < ROUNDS; round++) {
      const seed = SEED + round;
      try {
        check(new Source(seed));
      } catch (error) {
        error.message = `FUZZ_SEED=${seed} FUZZ_ROUNDS=1: ${error.message}`;
        throw error;
      }
    }
  });
}

const ODD = ["\0", "\ud800", "\udfff", "\u202e", "\u2028", "\ufeff", "😀", "é", "日", "\t", "\r", "\u00a0", "\x1b[2J", "__proto__", "constructor"];
const MARKS = ["a", "b c", "*", "**", "_", "__", "~~", "`", "```", "~~~", "[", "]", "](", "(", ")", "<", ">", "!", "$", "$$", "\\", "\\(", "\\)", "\\[", "\\]", "&amp;", "&#", "&#1114112;",
  "\n", "\n\n", "\n- ", "\n  - ", "\n1. ", "\n> ", "> ", "\n# ", "\n    ", "\n|a|b|\n|-|:-:|\n|", "|", "\n---\n", "\n===\n", "- [ ] ", "[^a]", "\n[^a]: ", "<br>", "<script>", "<a@b.c>",
  "https://x.example/", "javascript:alert(1)", "[a](javascript:alert(1))", "![a](data:text/html,x)", "<https://x.example/\" onclick=\"x>", "mailto:", ...ODD];

/** Looks at the nodes of a text: all are known, nest little, and lead only to the web and to mail. */
function checkInline(nodes, depth = 0) {
  assert.ok(depth < 100, "nodes nest without end");
  for (const node of nodes) {
    if (typeof node === "string") continue;
    assert.ok(["em", "strong", "del", "link", "code", "math", "note", "br"].includes(node.t), `a node ${node.t}`);
    if (node.t === "link") assert.match(node.href, /^(https?|mailto):/);
    if (node.text !== undefined) assert.equal(typeof node.text, "string");
    checkInline(node.kids ?? [], depth + 1);
  }
}

/** The same for blocks. */
function checkBlocks(blocks, depth = 0) {
  assert.ok(depth < 200, "blocks nest without end");
  for (const block of blocks) {
    assert.equal(typeof block.t, "string");
    if (typeof block.text === "string") checkInline(parseInline(block.text));
    for (const cell of [block.head ?? [], ...(block.rows ?? [])].flat()) checkInline(parseInline(cell));
    checkBlocks(block.blocks ?? [], depth + 1);
    for (const item of block.items ?? []) checkBlocks(item.blocks, depth + 1);
  }
}

rounds("Markdown", (source) => {
  const text = source.text(MARKS, 40);
  const blocks = parseBlocks(text, 1 + source.below(2500));
  checkBlocks(blocks);
  for (const open of [false, true]) {
    const nodes = parseInline(text, { open });
    checkInline(nodes);
    assert.equal(typeof plainText(nodes), "string");
  }
});

const FORMULAS = ["$", "$$", "\\(", "\\)", "\\[", "\\]", "{", "}", "^", "_", "'", "&", "\\\\", "\\frac", "\\sqrt", "[", "]", "\\left", "\\right", "\\begin{matrix}", "\\end{matrix}", "\\begin{", "\\text{",
  "\\sum", "\\alpha", "\\unknown", "x", "12", "+", " ", "\\mathbb", "\\overline", "\\color", "\\href{javascript:x}", ...ODD];

/** Looks at the tree of a formula: elements of MathML, and none with an address or a script. */
function checkTree(node, depth = 0) {
  assert.ok(depth < 500, "a formula nests without end");
  if (typeof node === "string") return;
  const [name, attributes, ...kids] = node;
  assert.match(name, /^(math|m[a-z]+|semantics|annotation)$/);
  for (const key of Object.keys(attributes ?? {})) assert.doesNotMatch(key, /^(on|href|src|style|xlink)/i);
  for (const kid of kids) checkTree(kid, depth + 1);
}

rounds("formulas", (source) => {
  const inner = source.text(FORMULAS, 30);
  for (const text of [inner, `$${inner}$`, `\\[${inner}\\]`]) {
    const tree = mathTree(text);
    if (tree) checkTree(tree);
  }
});

const CODE = ["a", "0x1f", '"', "'", "`", "/*", "*/", "//", "#", "<!--", "-->", "<", ">", "${", "}", "\\", '"""', "--[[", "]]", "fn ", "return ", " ", "=", "(", ")", "@@", "+", "-", ...ODD];
const LANGUAGES = ["go", "python", "js", "html", "diff", "json", "yaml", "sql", "bash", "css", "c", "toml", "lua", "rust", "", "nope", "__proto__", "constructor", "toString"];

rounds("code", (source) => {
  const language = languageOf(source.pick(LANGUAGES));
  let state = null;
  for (let n = source.below(6); n >= 0; n--) {
    const line = source.text(CODE, 20).replaceAll("\n", " ");
    const result = tokenizeLine(language, line, state);
    state = result.state;
    assert.equal(result.tokens.map(([, text]) => text).join(""), line);
  }
});

const LINES = ["data: {}", "data:", "data: [DONE]", "event: x", "id: 1", "retry: 9", ": comment", ":", "\n", "\r", "\r\n", "\n\n", "data: é", ...ODD];

rounds("events", (source) => {
  // However a stream is cut into pieces, the events are the same.
  const text = source.text(LINES, 20);
  const read = (step) => {
    const events = [];
    const parser = new EventParser((event) => events.push(event));
    for (let at = 0; at < text.length; at += step) parser.push(text.slice(at, at + step));
    return JSON.stringify(events);
  };
  assert.equal(read(1 + source.below(5)), read(text.length || 1));
});

/** Any JSON value, with names that chats have. */
function value(source, depth = 0) {
  const names = ["id", "title", "messages", "parent", "leaf", "role", "content", "settings", "system", "updated", "pinned", "calls", "files", "name", "text", "format", "version", "conversations", "__proto__", "constructor"];
  switch (source.below(depth > 4 ? 6 : 9)) {
    case 0: return null;
    case 1: return source.pick([0, -1, 1e308, 1.5, 2 ** 53]);
    case 2: return source.pick([true, false]);
    case 3: return source.text(MARKS, 4);
    case 4: return source.pick(["user", "assistant", "system", "m1", "m2", "trit-chats"]);
    case 5: return source.pick(["m1", "m2", ""]);
    case 6: return Array.from({ length: source.below(4) }, () => value(source, depth + 1));
    default: {
      const object = {};
      for (let n = source.below(8); n > 0; n--) Object.defineProperty(object, source.pick(names), { value: value(source, depth + 1), enumerable: true, configurable: true, writable: true });
      return object;
    }
  }
}

/** A chat with messages, some fields of which are anything. */
function chat(source) {
  const odd = (is) => (source.below(4) === 0 ? value(source, 2) : is);
  const messages = Array.from({ length: source.below(6) }, (_, i) => ({
    ...value(source, 3), id: odd(`m${source.below(4)}`), parent: odd(i === 0 ? null : `m${source.below(4)}`), role: odd(source.pick(["user", "assistant", "system"])), content: odd(source.text(MARKS, 5)),
    files: odd([{ name: "a", text: "b" }]), tools: odd([{ id: "1", name: "f", arguments: "{}", result: odd("x") }]), logprobs: odd([value(source, 4)]), stats: odd({ tokens: 1 }), status: odd("done"), error: odd(null),
  }));
  return { id: odd("c"), title: odd("t"), named: odd(true), settings: odd({ system: "s", temperature: odd(1) }), leaf: odd("m1"), from: odd("m0"), messages: odd(messages) };
}

let taken = 0;

rounds("kept chats", (source) => {
  const raw = source.below(4) === 0 ? value(source) : chat(source);
  const before = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));
  for (const text of [JSON.stringify(raw), JSON.stringify({ format: "trit-chats", version: 1, conversations: [raw, chat(source)] }), source.text(MARKS, 6)]) {
    let chats;
    try {
      chats = importFile(text).conversations;
    } catch (error) {
      assert.equal(error.constructor, Error, error.stack); // one that says what is wrong with the file
      continue;
    }
    // What was taken in is whole: it is read again as it is.
    taken++;
    assert.deepEqual(importFile(exportFile(chats)).conversations.map(({ messages }) => messages), chats.map(({ messages }) => messages));
  }
  normalizeConversation(JSON.parse(JSON.stringify(raw)));
  assert.equal(JSON.stringify(Object.getOwnPropertyNames(Object.prototype)), before);
});

test("fuzz: some chats are taken", () => assert.ok(taken > 0 || ROUNDS < 100));
