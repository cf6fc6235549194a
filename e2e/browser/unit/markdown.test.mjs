import assert from "node:assert/strict";
import test from "node:test";
import { BUDGET, parseBlocks } from "../../../server/ui/web/js/markdown/blocks.mjs";
import { parseInline, plainText, safeHref } from "../../../server/ui/web/js/markdown/inline.mjs";
import { languageOf, tokenizeLine } from "../../../server/ui/web/js/markdown/highlight.mjs";

/** Blocks in short form, to compare with what a test expects. */
function short(blocks) {
  return blocks.map((block) => {
    switch (block.t) {
      case "h": return `h${block.level} ${block.text}`;
      case "code": return `code(${block.lang}) ${block.text}`;
      case "quote": return ["quote", ...short(block.blocks)];
      case "list": return [`${block.ordered ? `ol${block.start}` : "ul"}${block.loose ? " loose" : ""}`, ...block.items.map((item) => (item.task === null ? [] : [item.task ? "x" : "o"]).concat(short(item.blocks)))];
      case "table": return ["table", block.align.join(","), block.head, ...block.rows];
      case "hr": return "hr";
      default: return `${block.t} ${block.text}`;
    }
  });
}

const BLOCKS = [
  ["paragraphs", "a\nb\n\nc", ["p a\nb", "p c"]],
  ["headings", "# a\n###### b ##\n####### c\n#d\n#", ["h1 a", "h6 b", "p ####### c\n#d", "h1 "]],
  ["underlined headings", "a\n===\nb\n---", ["h1 a", "h2 b"]],
  ["rules", "---\n* * *\n___\n--", ["hr", "hr", "hr", "p --"]],
  ["fences", "```go\na\n```\n~~~\nb\n```\n~~~~\nc", ["code(go) a", "code() b\n```", "p c"]],
  ["an open fence", "```js\nlet a", ["code(js) let a"]],
  ["an empty fence", "```\n```\nx", ["code() ", "p x"]],
  ["no fence", "``` a ` b", ["p ``` a ` b"]],
  ["indented code", "    a\n\n      b\nc", ["code() a\n\n  b", "p c"]],
  ["quotes", "> a\n> > b\n\nc", [["quote", "p a", ["quote", "p b"]], "p c"]],
  ["lists", "- a\n- b\n  - c\n\n1. d", [["ul", ["p a"], ["p b", ["ul", ["p c"]]]], ["ol1", ["p d"]]]],
  ["loose lists", "- a\n\n- b", [["ul loose", ["p a"], ["p b"]]]],
  ["numbers", "3. a\n4. b", [["ol3", ["p a"], ["p b"]]]],
  ["nested by two spaces", "1. a\n  - b\n    - c\n2. d", [["ol1", ["p a", ["ul", ["p b", ["ul", ["p c"]]]]], ["p d"]]]],
  ["nested by four spaces", "1. a\n    - b\n    - c\n2. d", [["ol1", ["p a", ["ul", ["p b"], ["p c"]]], ["p d"]]]],
  ["code in lists", "1. a\n   ```sh\n   b\n\n   c\n   ```\n2. d", [["ol1", ["p a", "code(sh) b\n\nc"], ["p d"]]]],
  ["tasks", "- [x] a\n- [ ] b\n- [y] c", [["ul", ["x", "p a"], ["o", "p b"], ["p [y] c"]]]],
  ["lazy lines", "- a\nb\n\nc", [["ul", ["p a\nb"]], "p c"]],
  ["lists interrupt", "a\n- b\n\nc\n1. d\n\ne\n2. f", ["p a", ["ul", ["p b"]], "p c", ["ol1", ["p d"]], "p e\n2. f"]],
  ["tables", "| a | b |\n|:--|--:|\n| c\\|d | e | f |\n| g |\n\nh", [["table", "left,right", ["a", "b"], ["c|d", "e"], ["g"]], "p h"]],
  ["tables without edges", "a | b\n--- | :-:\nc | d", [["table", ",center", ["a", "b"], ["c", "d"]]]],
  ["a table after text", "x\n| a |\n|---|\n| b |", ["p x", ["table", "", ["a"], ["b"]]]],
  ["no table", "| a | b |\n|---|", ["p | a | b |\n|---|"]],
  ["math", "$$\na_1\n- b\n$$\n\\[ x \\]\n$$ y $$ z", ["math $$\na_1\n- b\n$$", "math \\[ x \\]", "p $$ y $$ z"]],
  ["HTML is text", "<div>\n\n# a\n</div>", ["p <div>", "h1 a", "p </div>"]],
  ["line ends", "a\r\nb\r\n\r\n- c\r\n", ["p a\nb", ["ul", ["p c"]]]],
  ["nothing", "\n \n", []],
];

for (const [name, text, want] of BLOCKS) test(`blocks: ${name}`, () => assert.deepEqual(short(parseBlocks(text)), want));

test("blocks: at is where a block begins", () => {
  const text = "# a\n\nb\nc\n\n- d\n- e\n\n```\nf\n```\n";
  assert.deepEqual(parseBlocks(text).map((block) => text.slice(block.at, block.at + 3)), ["# a", "b\nc", "- d", "```"]);
});

test("blocks: the budget ends in plain text", () => {
  const blocks = parseBlocks("# a\n".repeat(BUDGET + 500));
  assert.equal(blocks.length, BUDGET + 1);
  assert.equal(blocks.at(-1).t, "raw");
  assert.equal(blocks.at(-1).text.split("\n").length, 500);
});

const strong = (...kids) => ({ t: "strong", kids });
const em = (...kids) => ({ t: "em", kids });
const code = (text) => ({ t: "code", text });
const math = (text) => ({ t: "math", text });
const link = (href, ...kids) => ({ t: "link", href, kids });
const br = { t: "br" };

const INLINE = [
  ["plain", "a b", ["a b"]],
  ["emphasis", "*a* _b_ **c** __d__ ***e***", [em("a"), " ", em("b"), " ", strong("c"), " ", strong("d"), " ", em(strong("e"))]],
  ["nested emphasis", "**a *b* c**", [strong("a ", em("b"), " c")]],
  ["no emphasis", "a * b * c, snake_case_name, 2*3, ** d **", ["a * b * c, snake_case_name, 2*3, ** d **"]],
  ["struck out", "~~a~~ ~b~", [{ t: "del", kids: ["a"] }, " ~b~"]],
  ["code", "`a` ``b ` c`` `*d*` ` e ` `f", [code("a"), " ", code("b ` c"), " ", code("*d*"), " ", code("e"), " `f"]],
  ["escapes", "\\*a\\* \\\\ \\`b\\` \\q", ["*a* \\ `b` \\q"]],
  ["entities", "&lt;b&gt; &amp;amp; &#65;&#x42; &nope; &#0;", ["<b> &amp; AB &nope; \ufffd"]],
  ["line breaks", "a\nb<br>c<br/>d", ["a", br, "b", br, "c", br, "d"]],
  ["links", "[a *b*](https://x.example/y \"t\") [c](<https://x.example/a b>)", [link("https://x.example/y", "a ", em("b")), " ", link("https://x.example/a%20b", "c")]],
  ["parentheses in links", "[a](https://x.example/b_(c))!", [link("https://x.example/b_(c)", "a"), "!"]],
  ["addresses", "see https://x.example/a_b_c. (https://y.example/(z))", ["see ", link("https://x.example/a_b_c", "https://x.example/a_b_c"), ". (", link("https://y.example/(z)", "https://y.example/(z)"), ")"]],
  ["angle brackets", "<https://x.example/> <me@x.example> <b>", [link("https://x.example/", "https://x.example/"), " ", link("mailto:me@x.example", "me@x.example"), " <b>"]],
  ["pictures become links", "![a](https://x.example/p.png)", [link("https://x.example/p.png", "a")]],
  ["pictures in links", "[![a](https://x.example/p.png)](https://y.example/)", [link("https://y.example/", "a")]],
  ["links do not nest", "[a [b](https://x.example/) c](https://y.example/)", ["[a ", link("https://x.example/", "b"), " c](", link("https://y.example/", "https://y.example/"), ")"]],
  ["math", "$a_1*b_2$ and \\(c_d_e\\) and $5 or $6", [math("$a_1*b_2$"), " and ", math("\\(c_d_e\\)"), " and $5 or $6"]],
];

for (const [name, text, want] of INLINE) test(`inline: ${name}`, () => assert.deepEqual(parseInline(text), want));

test("inline: text that is still being written", () => {
  assert.deepEqual(parseInline("a **bo", { open: true }), ["a ", strong("bo")]);
  assert.deepEqual(parseInline("a `co", { open: true }), ["a ", code("co")]);
  assert.deepEqual(parseInline("see [the page](https://x.exam", { open: true }), ["see the page"]);
  assert.deepEqual(parseInline("a **", { open: true }), ["a "]);
  assert.deepEqual(parseInline("2 * 3", { open: true }), ["2 * 3"]);
});

const BAD = ["javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "java\nscript:x", "\u0001javascript:x", "data:text/html,x", "vbscript:x",
  "file:///etc/passwd", "blob:https://x.example/1", "/v1/models", "//evil.example", "x", "", "https://", "http:// x", "about:blank", "https:/\\\\", "mailto"];

test("inline: only web and mail addresses are links", () => {
  for (const address of BAD) {
    const href = safeHref(address);
    assert.ok(href === null || /^(https?|mailto):/.test(href), `${address} became ${href}`);
    const links = JSON.stringify(parseInline(`[a](${address}) <${address}> ![a](${address})`)).match(/"href":"([^"]*)"/g) ?? [];
    for (const found of links) assert.match(found, /"href":"(https?|mailto):/);
  }
  assert.equal(safeHref("javascript:alert(1)//https://x.example"), null);
  assert.equal(safeHref(`https://x.example/${"a".repeat(3000)}`), null);
});

test("inline: nothing gets lost", () => {
  // Without marks the text comes back as it was, whatever the marks were.
  const pieces = ["a", "*", "**", "_", "`", "[", "](https://x.example/)", "]", "<", ">", "!", "~~", "$", "\\", "(", ")", " ", "é", "\n"];
  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let round = 0; round < 3000; round++) {
    let text = "";
    for (let n = Math.floor(random() * 14); n >= 0; n--) text += pieces[Math.floor(random() * pieces.length)];
    const shown = plainText(parseInline(text));
    for (const char of ["a", "é"]) {
      assert.equal(shown.split(char).length >= text.replaceAll("](https://x.example/)", "").split(char).length, true, JSON.stringify(text));
    }
    parseInline(text, { open: true });
    parseBlocks(text);
  }
});

test("highlighting keeps every character", () => {
  const sources = {
    go: "func f(a int) string { return `raw\nline` } // c", python: 'def f():\n    """doc\n    more"""\n    return "x" # c', js: "const a = `t\n${b}` /* c\nd */ + 1.5e3",
    html: '<a href="x\ny" b>text<!-- c\nd --></a>', diff: "--- a\n+++ b\n@@ 1 @@\n-x\n+y", json: '{"a": [1, true, "b\\"c"]}', yaml: "a: b # c\n- d: 1", sql: "select * from t -- c\nwhere a = 'b'",
    bash: 'echo "$HOME/${x}" # c', css: "a { color: red; /* c\n */ }", c: "#include <a.h>\nint main(void) { return '\\''; }", toml: "[a]\nb = 1", lua: "--[[ c\n]] local a = [[b\nc]]", nope: "a b", "": "x", constructor: "y", __proto__: "z",
  };
  for (const [name, source] of Object.entries(sources)) {
    const language = languageOf(name);
    let state = null;
    for (const line of source.split("\n")) {
      const result = tokenizeLine(language, line, state);
      assert.equal(result.tokens.map(([, text]) => text).join(""), line, name);
      state = result.state;
    }
  }
  const kinds = tokenizeLine(languageOf("go"), 'return f("a", 1) // c').tokens.map(([kind]) => kind);
  assert.deepEqual(kinds, ["k", "", "f", "", "s", "", "n", "", "c"]);
});

test("parsing takes linear time", () => {
  const fill = (piece, size) => piece.repeat(Math.ceil(size / piece.length)).slice(0, size);
  const pieces = ["*a ", "*", "**a** ", "[", "[](", "[a](http://x ", "[a](http://x)", "`a ", "``a` ", "> ", "- ", "* a **b ", "_a*", "$a", "$$\n", "\\[\n", "\\[", "|", "| a |\n|---|\n", "#\n", "<http://", "![", "http://a ", "h[http://", "~~a", "&amp;", "```\n", "1. a\n", "a\n-", "\t", "- a\n  ", "***a*b**", "<", "\\(", "a\n|"];
  const walk = (blocks) => {
    for (const block of blocks) {
      if (block.text !== undefined && block.t !== "code") parseInline(block.text, { open: true });
      if (block.blocks) walk(block.blocks);
      for (const item of block.items ?? []) walk(item.blocks);
      for (const cell of (block.rows ?? []).flat().concat(block.head ?? [])) parseInline(cell);
    }
  };
  const time = (piece, size) => {
    const text = fill(piece, size);
    let best = Infinity;
    for (let round = 0; round < 3; round++) {
      const begun = process.cpuUsage();
      walk(parseBlocks(text, 1e9));
      const { user } = process.cpuUsage(begun);
      best = Math.min(best, user / 1000);
    }
    return best;
  };
  for (const piece of pieces) {
    // Eight times the text: linear is 8, quadratic 64. Small times are noise, and a busy machine can disturb any of them.
    const tries = [];
    const linear = () => {
      const small = time(piece, 25_000);
      const large = time(piece, 200_000);
      tries.push(`${small} ms, then ${large} ms`);
      return large < 100 || large / Math.max(small, 1) < 32;
    };
    assert.ok(linear() || linear() || linear(), `${JSON.stringify(piece)}: ${tries.join("; ")}`);
  }
});
