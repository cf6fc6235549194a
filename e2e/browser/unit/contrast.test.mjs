import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const css = readFileSync(new URL("../../../server/ui/web/css/base.css", import.meta.url), "utf8");

function colours(selector) {
  const start = css.indexOf(`${selector} {`);
  const block = css.slice(start, css.indexOf("}", start));
  return Object.fromEntries([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]));
}

function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

const PAIRS = [
  ...["text", "soft", "muted", "accent", "danger"].flatMap((text) => ["ground", "side", "raised", "field"].map((ground) => [text, ground])),
  ["text", "bubble"], ["text", "code"], ["muted", "code"], ["on-accent", "accent"], ["on-send", "send"], ["danger", "danger-soft"], ["soft", "danger-soft"], ["text", "danger-soft"], ["warn", "warn-soft"], ["warn", "field"], ["ground", "text"],
  ...["k", "t", "s", "n", "c", "f", "a"].map((kind) => [`tk-${kind}`, "code"]),
];

for (const [theme, selector] of [["light", ":root"], ["dark", ':root[data-theme="dark"]']]) {
  test(`contrast: ${theme}`, () => {
    const names = colours(selector);
    for (const [text, ground] of PAIRS) {
      const value = contrast(names[text], names[ground]);
      assert.ok(value >= 4.5, `${text} on ${ground} has a contrast of ${value.toFixed(2)}`);
    }
  });
}
