import assert from "node:assert/strict";
import test from "node:test";
import { mergePresets, normalizePresets } from "../../../server/ui/web/js/presets.mjs";
import { cleanTitle } from "../../../server/ui/web/js/titles.mjs";

test("titles of models", () => {
  for (const [text, want] of [
    ["Foxes", "Foxes"], ["“Foxes and owls.”\n\nMore", "Foxes and owls"], ["**Title:** Foxes", "Foxes"], ["# Titel: Füchse", "Füchse"],
    ["<think>The user…\nwants</think>\n\nFoxes", "Foxes"], ["<think>never ends", ""], ["", ""], ["***", ""], [undefined, ""], ["「狐の話」", "狐の話"],
    ["C++", "C++"], ["What is it?", "What is it?"], ["x".repeat(90), `${"x".repeat(60)}…`],
  ]) assert.equal(cleanTitle(text), want, text);
});

test("presets of a file beside those of the browser", () => {
  const [a, b] = normalizePresets([{ name: " a ", settings: { system: "1" } }, { name: "b" }, { name: "" }, 5, null, { name: "b", settings: { system: "2" } }]);
  assert.deepEqual([a.name, a.settings.system, b.name, b.settings.system], ["a", "1", "b", "2"]);
  assert.deepEqual(normalizePresets("x"), []);
  const other = normalizePresets([{ name: "a", settings: { system: "3" } }]);
  assert.deepEqual(mergePresets([a, b], other).map(({ name }) => name), ["a", "b", "a (2)"]);
  assert.equal(mergePresets([a, b], [a]).length, 2);
  const long = { name: "y".repeat(60), settings: a.settings };
  assert.equal(mergePresets([long], [{ ...long, settings: b.settings }])[1].name, `${"y".repeat(56)} (2)`);
});
