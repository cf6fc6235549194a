// Every text of the page is in the tables of its languages, and nothing else is.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { LANGUAGES, t } from "../../../server/ui/web/js/language.mjs";
import { TOOLS } from "../../../server/ui/web/js/tools.mjs";

const web = new URL("../../../server/ui/web/", import.meta.url);

// What is the same in all languages.
const SAME = new Set(["Trit", "Ctrl K", "API key…", '{"type": "object", …}', '{"presence_penalty": 0.5}']);

/** The template literal that begins at a place, with {0}, {1} … for what is interpolated. */
function template(source, at) {
  let text = "";
  let count = 0;
  for (let i = at; ; i++) {
    if (source[i] === "`") return text;
    if (!source.startsWith("${", i)) {
      text += source[i];
      continue;
    }
    let depth = 1;
    for (i += 2; depth > 0; i++) depth += source[i] === "{" ? 1 : source[i] === "}" ? -1 : 0;
    i--;
    text += `{${count++}}`;
  }
}

/** All texts of the page, as keys of the tables. */
function texts() {
  const found = new Set(Object.values(TOOLS).flatMap(({ label, description }) => [label, description]));
  for (const name of readdirSync(new URL("js/", web), { recursive: true })) {
    if (!name.endsWith(".mjs") || name.includes("languages") || name === "language.mjs") continue;
    const source = readFileSync(new URL(`js/${name}`, web), "utf8");
    for (const [, text] of source.matchAll(/(?<![\w.])t\("((?:[^"\\]|\\.)*)"\)/g)) found.add(JSON.parse(`"${text}"`));
    for (const { index, 0: begin } of source.matchAll(/(?<![\w.])t`/g)) found.add(template(source, index + begin.length));
  }
  const page = readFileSync(new URL("index.html", web), "utf8").replace(/<svg class="sprite"[^]*?<\/svg>|<head>[^]*?<\/head>|<noscript>.*|<!--[^]*?-->/g, "");
  const bare = (text) => text.replaceAll("&quot;", '"').replaceAll("&amp;", "&").trim();
  for (const [, text] of page.matchAll(/>([^<>]+)</g)) if (/\p{L}/u.test(text)) found.add(bare(text));
  for (const [, , text] of page.matchAll(/ (?:aria-label|title|placeholder)=(["'])(.+?)\1/g)) found.add(bare(text));
  for (const same of SAME) found.delete(same);
  return found;
}

const places = (text) => [...text.matchAll(/\{\d\}/g)].map(([place]) => place).sort();

for (const code of Object.keys(LANGUAGES).filter((code) => code !== "en")) {
  test(`the table of ${LANGUAGES[code]}`, async () => {
    const { default: table } = await import(new URL(`js/languages/${code}.mjs`, web));
    const wanted = texts();
    assert.deepEqual([...wanted].filter((text) => !Object.hasOwn(table, text)), [], "texts without a translation");
    assert.deepEqual(Object.keys(table).filter((text) => !wanted.has(text)), [], "translations of no text");
    for (const [text, translation] of Object.entries(table)) {
      const said = typeof translation === "function" ? translation(1, 2, 3) : translation;
      assert.ok(typeof said === "string" && said.trim() !== "", text);
      if (typeof translation === "string") assert.deepEqual(places(translation), places(text), text);
    }
  });
}

test("texts with values", () => {
  assert.equal(t("Undo"), "Undo");
  assert.equal(t`Delete ${"{1} {0} $&"} of ${2}`, "Delete {1} {0} $& of 2");
  assert.equal(t("constructor"), "constructor");
});

if (process.env.LIST_TEXTS) console.log([...texts()].map((text) => JSON.stringify(text)).join("\n"));
