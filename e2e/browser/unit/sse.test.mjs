import assert from "node:assert/strict";
import test from "node:test";
import { EventParser } from "../../../server/ui/web/js/sse.mjs";
import { fromBody, parseRetryAfter } from "../../../server/ui/web/js/api.mjs";

function events(...pieces) {
  const out = [];
  const parser = new EventParser((event) => out.push(event));
  for (const piece of pieces) parser.push(piece);
  parser.end();
  return out;
}

const data = (...texts) => texts.map((text) => ({ event: "message", data: text }));

const CASES = [
  ["one event", ["data: a\n\n"], data("a")],
  ["several", ["data: a\n\ndata: b\n\n"], data("a", "b")],
  ["CRLF", ["data: a\r\n\r\ndata: b\r\n\r\n"], data("a", "b")],
  ["CR", ["data: a\r\rdata: b\r\r"], data("a", "b")],
  ["mixed line ends", ["data: a\r\n\ndata: b\n\r\n"], data("a", "b")],
  ["several lines", ["data: a\ndata: b\ndata:\n\n"], data("a\nb\n")],
  ["one space only", ["data:  a\n\ndata:b\n\n"], data(" a", "b")],
  ["comments", [": ping\n\ndata: a\n: more\n\n"], data("a")],
  ["names", ["event: error\ndata: a\n\ndata: b\n\n"], [{ event: "error", data: "a" }, ...data("b")]],
  ["unknown fields", ["id: 1\nretry: 5\nx\ndata: a\n\n"], data("a")],
  ["no data, no event", ["event: a\n\n\n\n"], []],
  ["a byte order mark", ["\uFEFFdata: a\n\n"], data("a")],
  ["no end", ["data: a\n\ndata: b"], data("a", "b")],
  ["a field without a colon", ["data\n\n"], data("")],
];

for (const [name, pieces, want] of CASES) {
  test(`events: ${name}`, () => assert.deepEqual(events(...pieces), want));
  test(`events: ${name}, cut anywhere`, () => {
    const text = pieces.join("");
    assert.deepEqual(events(...text), want);
    for (let cut = 0; cut <= text.length; cut++) assert.deepEqual(events(text.slice(0, cut), text.slice(cut)), want);
  });
}

test("Retry-After", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  for (const [value, want] of [["3", 3], [" 2.5 ", 2.5], ["Thu, 01 Jan 2026 00:00:07 GMT", 7], ["Wed, 31 Dec 2025 00:00:00 GMT", 0], ["99999999", 3600], ["soon", null], ["", null], [null, null]]) {
    assert.equal(parseRetryAfter(value, now), want, String(value));
  }
});

test("errors have kinds", () => {
  for (const [status, error, want] of [
    [401, {}, "auth"], [403, {}, "forbidden"], [429, {}, "busy"], [503, {}, "loading"], [500, {}, "server"], [404, { message: "no such model" }, "request"],
    [400, { code: "context_length_exceeded" }, "context"], [400, { type: "exceed_context_size_error" }, "context"],
    [400, { message: "This model's maximum context length is 512 tokens" }, "context"], [400, { message: "temperature is too high" }, "request"],
  ]) {
    assert.equal(fromBody({ error }, status, null).kind, want, JSON.stringify([status, error]));
  }
  assert.equal(fromBody({ error: "plain words" }, 500, null).message, "plain words");
  assert.match(fromBody(null, 502, null).message, /502/);
});
