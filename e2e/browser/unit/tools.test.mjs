import assert from "node:assert/strict";
import test from "node:test";
import { calculate, definitions, runTool, TOOLS } from "../../../server/ui/web/js/tools.mjs";

test("the calculator", () => {
  for (const [expression, want] of [
    ["7 + 8", 15], ["2 * (3 + 4) - 10 / 4", 11.5], ["2^3^2", 512], ["-2^2", -4], ["2^-1", 0.5], ["10 % 4 % 3", 2],
    ["0.1 + 0.2", 0.3], ["sqrt(16) + max(1, 5, 3)", 9], ["2 ** 10", 1024], ["6 ÷ 3 × 2 − 1", 3], ["1.5e3", 1500], [".5", 0.5],
    ["round(pi * 100)", 314], ["8 - 3 - 2", 3], ["--3", 3], ["1/0", Infinity],
  ]) assert.equal(calculate(expression), want, expression);
  for (const wrong of ["", "1 +", "(1", "1)", "2 3", "constructor(1)", "alert(1)", "sqrt 4", "a", "sqrt(-1)", "(".repeat(5000), "2^".repeat(5000) + "2", "."]) {
    assert.throws(() => calculate(wrong), Error, wrong.slice(0, 20));
  }
});

test("calls of tools", async () => {
  assert.equal(await runTool({ name: "calculator", arguments: '{"expression": "6*7"}' }), "42");
  assert.match(await runTool({ name: "calculator", arguments: "{" }), /^Error: /);
  assert.match(await runTool({ name: "current_date", arguments: "" }), /^\{"utc":"\d{4}-/);
  assert.deepEqual(definitions(["calculator"])[0].function.parameters, TOOLS.calculator.parameters);
});
