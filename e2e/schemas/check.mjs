// Checks with ajv, which shares no code with Trit, that what the model writes
// under a JSON Schema is valid under it.
//
// Usage: node check.mjs [--schemas N] [--seed N] [--extra N] [--keep FILE]. See README.md.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const { values: args } = parseArgs({
	options: {
		schemas: { type: "string", default: "1000" }, seed: { type: "string", default: "1" },
		extra: { type: "string", default: "32" }, keep: { type: "string" },
	},
});
const leastComplete = 0.99;

const output = execFileSync("go", ["run", "./e2e/schemas", "-schemas", args.schemas, "-seed", args.seed, "-extra", args.extra],
	{ cwd: root, encoding: "utf8", maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "inherit"] });
if (args.keep) writeFileSync(args.keep, output);
const lines = output.trimEnd().split("\n").map((line) => JSON.parse(line));
const { summary } = lines.pop();

let passed = 0, failed = 0, cut = 0, tokens = 0, controls = 0;
for (const { schema, text, complete, limit, tokens: used } of lines) {
	tokens += used;
	if (used > limit) {
		failed++;
		console.log(`FAIL  ${used} tokens, limit ${limit}\n  ${JSON.stringify(schema)}\n  ${text}`);
		continue;
	}
	if (!complete) {
		cut++;
		continue;
	}
	// A new instance each time: schemas must not know each other.
	const ajv = addFormats(new Ajv2020({ strict: false, allErrors: true }));
	// The schemas have no unevaluatedProperties, and ajv 8.17.1 crashes in keeping book for it under some if/else.
	ajv.opts.unevaluated = false;
	const validate = ajv.compile(schema);
	let problem;
	try {
		if (!validate(JSON.parse(text))) problem = ajv.errorsText(validate.errors);
	} catch (error) {
		problem = error.message;
	}
	if (problem === undefined) {
		passed++;
	} else {
		failed++;
		console.log(`FAIL  ${problem}\n  ${JSON.stringify(schema)}\n  ${text}`);
	}
	// The validator can fail: most schemas refuse this value.
	if (!validate({ "no such name": [null, -1e300] })) controls++;
}
const done = lines.length - cut;
console.log(`${passed} passed, ${failed} failed; ${done} of ${lines.length} texts complete (${(100 * done / lines.length).toFixed(1)} %), ` +
	`${tokens} tokens; refused schemas: ${JSON.stringify(summary)}`);
if (lines.length !== Number(args.schemas)) {
	console.log(`FAIL  ${lines.length} texts, want ${args.schemas}`);
	process.exitCode = 1;
}
if (controls < done / 2) {
	console.log(`FAIL  only ${controls} schemas refuse the control value: the validator sees too little`);
	process.exitCode = 1;
}
if (failed > 0 || done < leastComplete * lines.length) process.exitCode = 1;
