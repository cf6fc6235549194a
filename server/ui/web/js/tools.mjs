// The tools that the page itself can run for a model, all of them harmless: they
// see nothing but their arguments and reach nothing.

import { runScript } from "./sandbox.mjs";

/** How often in a row the page answers calls by itself before it asks. */
export const MOST_ROUNDS = 8;

/** By name: {label, description, parameters, run(arguments, signal): string or a promise of one}. What run throws is told to the model. */
export const TOOLS = {
  calculator: {
    label: "Calculator",
    description: "Evaluates an arithmetic expression and returns its value.",
    parameters: {
      type: "object",
      properties: { expression: { type: "string", description: "for example (2 + 3) * sqrt(16) / 7 ^ 2" } },
      required: ["expression"],
    },
    run: ({ expression }) => String(calculate(String(expression))),
  },
  current_date: {
    label: "Date and time",
    description: "Returns the current date, weekday, time and time zone.",
    parameters: { type: "object", properties: {} },
    run: () => {
      const now = new Date();
      const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
      return JSON.stringify({ utc: now.toISOString(), local: now.toLocaleString("en", { dateStyle: "full", timeStyle: "long" }), timeZone });
    },
  },
  javascript: {
    label: "JavaScript",
    description: "Runs JavaScript, without network and without a page, for at most 5 seconds. Returns what console.log printed and the value of the expression or of return.",
    parameters: {
      type: "object",
      properties: { code: { type: "string", description: "for example [3, 1, 2].sort().join()" } },
      required: ["code"],
    },
    run: ({ code }, signal) => runScript(String(code), signal),
  },
};

/** The definitions of tools as requests have them. */
export function definitions(names) {
  return names.map((name) => ({ type: "function", function: { name, description: TOOLS[name].description, parameters: TOOLS[name].parameters } }));
}

/** What a tool answers to a call; an error is an answer too. */
export async function runTool({ name, arguments: text }, signal) {
  try {
    return await TOOLS[name].run(JSON.parse(text || "{}"), signal);
  } catch (error) {
    return `Error: ${error.message}`;
  }
}

const CONSTANTS = { pi: Math.PI, e: Math.E };
const FUNCTIONS = {
  sqrt: Math.sqrt, cbrt: Math.cbrt, abs: Math.abs, exp: Math.exp, ln: Math.log, log: Math.log10, log2: Math.log2,
  sin: Math.sin, cos: Math.cos, tan: Math.tan, asin: Math.asin, acos: Math.acos, atan: Math.atan,
  round: Math.round, floor: Math.floor, ceil: Math.ceil, min: Math.min, max: Math.max,
};
const DEEPEST = 100;

/** The value of an arithmetic expression: + − * / % ^, parentheses, functions, constants. */
export function calculate(expression) {
  const tokens = expression.toLowerCase().replaceAll("**", "^").replaceAll("×", "*").replaceAll("÷", "/").replaceAll("−", "-")
    .match(/\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|[a-z]\w*|\S/g) ?? [];
  let at = 0;
  let depth = 0;
  const fail = () => {
    throw new Error(at < tokens.length ? `“${tokens[at]}” is not expected here` : "the expression ends too early");
  };
  const take = (...wanted) => (wanted.includes(tokens[at]) ? tokens[at++] : null);
  const need = (wanted) => take(wanted) ?? fail();

  function sum() {
    if (++depth > DEEPEST) throw new Error("the expression is nested too deeply");
    let value = product();
    for (let sign; (sign = take("+", "-")); ) value = sign === "+" ? value + product() : value - product();
    depth--;
    return value;
  }
  function product() {
    let value = signed();
    for (let sign; (sign = take("*", "/", "%")); ) {
      const right = signed();
      value = sign === "*" ? value * right : sign === "/" ? value / right : value % right;
    }
    return value;
  }
  function signed() {
    let sign = 1;
    for (let found; (found = take("-", "+")); ) if (found === "-") sign = -sign;
    return sign * power();
  }
  function power() {
    const base = atom();
    if (!take("^")) return base;
    if (++depth > DEEPEST) throw new Error("the expression is nested too deeply");
    const value = base ** signed(); // from the right: 2^3^2 is 2^9
    depth--;
    return value;
  }
  function atom() {
    const token = tokens[at];
    if (token === undefined) fail();
    if (/^[\d.]/.test(token) && token !== ".") {
      at++;
      return Number(token);
    }
    if (take("(")) {
      const value = sum();
      need(")");
      return value;
    }
    if (Object.hasOwn(CONSTANTS, token)) {
      at++;
      return CONSTANTS[token];
    }
    if (!Object.hasOwn(FUNCTIONS, token)) fail();
    at++;
    need("(");
    const values = [sum()];
    while (take(",")) values.push(sum());
    need(")");
    return FUNCTIONS[token](...values);
  }

  const value = sum();
  if (at < tokens.length) fail();
  if (Number.isNaN(value)) throw new Error("the expression has no value");
  // 0.1 + 0.2 is 0.3 to whoever asks.
  return Number.isInteger(value) ? value : Number(value.toPrecision(14));
}
