import assert from "node:assert/strict";
import test from "node:test";
import { mathTree } from "../../../server/ui/web/js/markdown/math.mjs";
import { parseBlocks } from "../../../server/ui/web/js/markdown/blocks.mjs";
import { parseInline } from "../../../server/ui/web/js/markdown/inline.mjs";

/** A tree in short form: names, text, and nothing of the attributes. */
function short(node) {
  if (typeof node === "string") return node;
  const [name, , ...kids] = node;
  const inner = kids.map(short).join(" ");
  return { mi: inner, mn: inner, mo: inner, mspace: "", mtext: `"${inner}"`, mrow: `{${inner}}` }[name] ?? `${name}(${inner})`;
}

const math = (source) => {
  const tree = mathTree(source);
  return tree && short(tree[2]);
};

for (const [source, want] of [
  ["$x$", "x"],
  ["$a_1^2$", "msubsup(a 1 2)"],
  ["$x^{10} - y'$", "{msup(x {10}) − msup(y ′)}"],
  ["$x^10$", "{msup(x 1) 0}"],
  ["$f''^2$", "msup(f {′′ 2})"],
  ["\\(\\frac12 + \\dfrac{a}{b}\\)", "{mfrac(1 2) + mfrac({a} {b})}"],
  ["$\\sqrt{2} \\sqrt[3]{x}$", "{msqrt({2}) mroot({x} 3)}"],
  ["$\\sum_{i=1}^n i$", "{msubsup(∑ {i = 1} n) i}"],
  ["$$\\sum_{i=1}^n i$$", "{munderover(∑ {i = 1} n) i}"],
  ["\\[\\lim_{x \\to 0} \\sin x\\]", "{munder(lim {x → 0}) {sin } x}"],
  ["\\[\\int_0^1 f(x)\\,dx\\]", "{msubsup(∫ 0 1) f ( x )  d x}"],
  ["$\\left( \\frac{a}{b} \\right]$", "{( mfrac({a} {b}) ]}"],
  ["$\\alpha \\le \\Omega, 1{,}5$", "{α ≤ Ω , 1 {,} 5}"],
  ["$\\mathbb{R} \\mathbf{x1} \\mathcal{LA}$", "{{ℝ} {𝐱 𝟏} {ℒ 𝒜}}"],
  ["$\\text{if } x$", "{\"if\u00a0\" x}"],
  ["$\\hat{x} \\vec v$", "{mover({x} ^) mover(v →)}"],
  ["$\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}$", "{( mtable(mtr(mtd(a) mtd(b)) mtr(mtd(c) mtd(d))) )}"],
  ["$\\begin{cases} 1 & x > 0 \\\\ 0 \\end{cases}$", "{{ mtable(mtr(mtd(1) mtd({x > 0})) mtr(mtd(0)))}"],
  ["$$a &= b \\\\ &= c$$", "mtable(mtr(mtd(a) mtd({= b})) mtr(mtd({}) mtd({= c})))"],
  ["$\\binom{n}{k} \\not= \\pmod 3$", "{{( mfrac({n} {k}) )} ≠ { ( mod  3 )}}"],
  ["$\\mathrm{d}x \\operatorname{rank} A$", "{\"d\" x rank A}"],
]) test(`math: ${source}`, () => assert.equal(math(source), want));

test("math: what is not known stays text", () => {
  for (const source of [
    "$\\unknown$", "$\\href{javascript:alert(1)}{x}$", "$\\htmlClass{a}{b}$", "$x^$", "$x^1^2$", "$x_1_2$", "${$", "$}$", "$\\frac{1}$", "$\\left( x$", "$\\begin{pmatrix} a$", "$\\begin{foo}\\end{foo}$", "$\\begin{matrix}\\end{pmatrix}$",
    "$\\text{a$", "$a % b$", "$$$$", "$ $", "x", `$${"{".repeat(500)}x${"}".repeat(500)}$`, `$${"\\sqrt".repeat(500)}x$`, `$${"x".repeat(5000)}$`, "$\\constructor$", "$\\toString$", "$\\__proto__$",
  ]) assert.equal(mathTree(source), null, source.slice(0, 40));
});

test("math: markup in it stays text", () => {
  assert.equal(math("$\\text{<img src=x>}$"), '"<img\u00a0src=x>"');
  assert.deepEqual(mathTree("$x$")[1], { alttext: "x" });
  assert.deepEqual(mathTree("$$x$$")[1], { display: "block", alttext: "x" });
});

test("footnotes", () => {
  assert.deepEqual(parseInline("a[^1] b[^no te] [^x](https://a.example/)").slice(0, 3), ["a", { t: "note", text: "1" }, " b[^no te] "]);
  const blocks = parseBlocks("a[^1]\n[^1]: First.\nmore\n[^2]:   Second\n\nb");
  assert.deepEqual(blocks.map(({ t, name, text }) => [t, name, text]), [["p", undefined, "a[^1]"], ["note", "1", "First.\nmore"], ["note", "2", "Second"], ["p", undefined, "b"]]);
});
