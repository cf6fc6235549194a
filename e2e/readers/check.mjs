// Checks that independent readers accept the files that trit writes:
//
//   1. npm @huggingface/gguf reads every GGUF file and sees the same metadata
//      and tensors as "trit inspect";
//   2. an exported checkpoint obeys the rules of the safetensors header;
//   3. llama.cpp (npm node-llama-cpp, prebuilt, on the CPU) loads
//      llama-architecture files, cuts a fixed text into the same tokens and, at
//      every position where our margin is clear, finds the same most likely token.
//
// Usage: node check.mjs [--large] [--keep DIR]. See README.md.

import { execFileSync } from "node:child_process";
import { mkdtempSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gguf } from "@huggingface/gguf";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const { values: args } = parseArgs({ options: { large: { type: "boolean" }, keep: { type: "string" } } });
const exe = process.platform === "win32" ? ".exe" : "";

// ggml type: number in the file, elements and bytes of a block. I2_S has a tail
// of 32 bytes after all elements (fork of bitnet.cpp; the library has no name for it).
const types = {
	F32: [0, 1, 4], F16: [1, 1, 2], Q4_0: [2, 32, 18], Q8_0: [8, 32, 34], Q6_K: [14, 256, 210],
	BF16: [30, 1, 2], TQ1_0: [34, 256, 54], TQ2_0: [35, 256, 66], I2_S: [36, 4, 1],
};

const text = "The quick brown fox jumps over the lazy dog; 12345 times, they say. Why? Nobody knows: the dog sleeps, " +
	"the fox is gone, and it's raining.";

// Limit of the relative L2 distance between two engines' logits at any position.
// For F16 weights llama.cpp rounds the inputs of projections to F16; for TQ types
// it rounds them to 8 bits in blocks of 256 (Q8_K), while ours stay float32. That
// alone moves our own logits by 3 per cent (5 at most) in two layers.
const limits = { F16: 0.005, TQ1_0: 0.08, TQ2_0: 0.08 };

let failures = 0;

function check(ok, what) {
	if (!ok) {
		failures++;
		console.log(`FAIL  ${what}`);
	}
	return ok;
}

function run(program, ...argv) {
	return execFileSync(program, argv, { cwd: root, encoding: "utf8", maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "inherit"] });
}

// ---- 1. GGUF ----

async function checkGGUF(file, trit) {
	const ours = JSON.parse(run(trit, "inspect", "--json", "--verbose", "--model", file));
	const name = path.basename(file);
	const size = statSync(file).size;
	const theirs = await gguf(file, { allowLocalFile: true, typedMetadata: true });
	const before = failures;

	check(theirs.metadata.version === ours.version, `${name}: version ${theirs.metadata.version}, ours ${ours.version}`);
	check(Number(theirs.metadata.kv_count) === ours.metadata.length, `${name}: ${theirs.metadata.kv_count} metadata keys, ours ${ours.metadata.length}`);
	for (const { key, value } of ours.metadata) {
		check(same(theirs.metadata[key], value), `${name}: ${key} differs: ${brief(theirs.metadata[key])}, ours ${brief(value)}`);
	}
	check(theirs.tensorInfos.length === ours.tensors.length, `${name}: ${theirs.tensorInfos.length} tensors, ours ${ours.tensors.length}`);
	const data = Number(theirs.tensorDataOffset);
	theirs.tensorInfos.forEach((t, i) => {
		const o = ours.tensors[i] ?? {};
		const shape = t.shape.map(Number);
		const [id, elements, bytes] = types[o.type] ?? [];
		const where = `${name}: tensor ${i}, ${t.name}`;
		check(t.name === o.name, `${where}: ours is called ${o.name}`);
		check(t.dtype === id, `${where}: type ${t.dtype}, ours ${o.type}`);
		check(same(shape, o.shape), `${where}: shape ${shape}, ours ${o.shape}`);
		check(data + Number(t.offset) === o.offset, `${where}: begins at ${data + Number(t.offset)}, ours ${o.offset}`);
		const want = shape.reduce((a, b) => a * b, 1) / elements * bytes + (o.type === "I2_S" ? 32 : 0);
		check(o.size_bytes === want, `${where}: ${o.size_bytes} bytes, want ${want}`);
		check(o.offset + want <= size, `${where}: ends at ${o.offset + want}, the file at ${size}`);
	});
	report(before, `gguf  ${name}: ${ours.metadata.length} keys, ${ours.tensors.length} tensors, ${kinds(ours.tensors)}`);
}

function kinds(tensors) {
	const count = {};
	for (const t of tensors) count[t.type] = (count[t.type] ?? 0) + 1;
	return Object.entries(count).map(([k, n]) => `${n} ${k}`).join(", ");
}

function same(a, b) {
	if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((v, i) => same(v, b[i]));
	if (typeof a === "bigint") a = Number(a);
	// JSON has the shortest decimal that gives the float32 back.
	if (typeof a === "number" && typeof b === "number") return a === b || Math.fround(a) === Math.fround(b);
	return a === b;
}

const brief = (v) => String(v).slice(0, 60);

function report(before, line) {
	if (failures === before) console.log(`ok    ${line}`);
}

// ---- 2. safetensors ----

// checkSafetensors applies the rules of the format's reference reader: a header
// of at most 100 MB that begins with "{", known types, sizes that follow from the
// shapes, and data without holes, overlaps or rest.
function checkSafetensors(file) {
	const bits = { F64: 64, I64: 64, F32: 32, I32: 32, F16: 16, BF16: 16, I8: 8, U8: 8, BOOL: 8 };
	const name = path.basename(file);
	const buffer = readFileSync(file);
	const before = failures;
	const n = Number(buffer.readBigUInt64LE(0));
	if (!check(n <= 100e6 && 8 + n <= buffer.length, `${name}: header of ${n} bytes in a file of ${buffer.length}`)) return;
	check(buffer[8] === 0x7b, `${name}: the header does not begin with {`);
	check(n % 8 === 0, `${name}: the data begins at ${8 + n}, which is not aligned to 8 bytes`);
	const header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(buffer.subarray(8, 8 + n)));
	const { __metadata__: meta = {}, ...tensors } = header;
	check(Object.values(meta).every((v) => typeof v === "string"), `${name}: __metadata__ holds something else than strings`);
	let end = 0;
	const entries = Object.entries(tensors).sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
	for (const [key, { dtype, shape, data_offsets: [from, to] }] of entries) {
		check(dtype in bits, `${name}: ${key}: type ${dtype}`);
		check(shape.every((d) => Number.isSafeInteger(d) && d >= 0), `${name}: ${key}: shape ${shape}`);
		check(from === end, `${name}: ${key}: begins at ${from}, the one before ends at ${end}`);
		const want = shape.reduce((a, b) => a * b, 1) * bits[dtype] / 8;
		check(to - from === want, `${name}: ${key}: ${to - from} bytes, want ${want}`);
		end = to;
	}
	check(8 + n + end === buffer.length, `${name}: the data ends at ${8 + n + end}, the file at ${buffer.length}`);
	report(before, `safetensors  ${name}: ${entries.length} tensors`);
}

// ---- 3. llama.cpp ----

async function checkLlama(llama, file, type, argmax, count) {
	const name = path.basename(file);
	const before = failures;
	const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
	const tokens = [...fixedTokens(512, count)];
	const context = await model.createContext({ contextSize: 512, batchSize: 512, flashAttention: false, threads: 2 });
	const results = await context.getSequence().controlledEvaluate(tokens.map((t) => [t, { generateNext: { logits: true } }]));
	const raw = path.join(path.dirname(file), `${name}.logits`);
	const ours = JSON.parse(run(argmax, "-model", file, "-tokens", tokens.join(), "-activations", "float", "-logits", raw, "-text", text));
	const logits = new Float32Array(new Uint8Array(readFileSync(raw)).buffer);
	rmSync(raw);
	if (ours.vocabulary === 512) { // a large model's tokens would be the same
		// The caller of llama.cpp adds BOS itself.
		const theirs = [1, ...model.tokenize(text, false)];
		check(same(ours.text, theirs), `${name}: tokens ${theirs.slice(0, 12)}…, ours ${ours.text.slice(0, 12)}…`);
	}

	const V = ours.vocabulary;
	const distances = [];
	let clear = 0, agree = 0, agreeAll = 0;
	results.forEach((result, i) => {
		const row = logits.subarray(i * V, (i + 1) * V);
		const map = result.next.logits;
		if (!check(map.size === V, `${name}: position ${i}: ${map.size} logits, ours ${V}`)) return;
		let best = -1, diff = 0, norm = 0;
		for (let t = 0; t < V; t++) {
			const x = map.get(t);
			if (best < 0 || x > map.get(best)) best = t;
			diff += (x - row[t]) ** 2;
			norm += row[t] ** 2;
		}
		const distance = Math.sqrt(diff / norm);
		distances.push(distance);
		check(distance <= limits[type], `${name}: position ${i}: relative distance ${distance.toFixed(5)}, limit ${limits[type]}`);
		const p = ours.positions[i];
		const hit = best === p.argmax;
		agreeAll += hit;
		// A difference of norm limit·|logits|, spread over V logits, moves the
		// gap between two of them by √2·limit·rms. Four times that is clear.
		if (p.margin <= 4 * Math.SQRT2 * limits[type] * Math.sqrt(norm / V)) return;
		clear++;
		agree += hit;
		check(hit, `${name}: position ${i}: token ${best}, ours ${p.argmax} with a margin of ${p.margin}`);
	});
	check(clear >= tokens.length / 10, `${name}: the margin is clear at ${clear} of ${tokens.length} positions only`);
	distances.sort((a, b) => a - b);
	report(before, `llama.cpp  ${name}: largest logit agrees at ${agree} of ${clear} clear positions (${agreeAll} of all ${tokens.length}); ` +
		`distance median ${distances[distances.length >> 1].toFixed(5)}, largest ${distances.at(-1).toFixed(5)}, limit ${limits[type]}`);
	await context.dispose();
	await model.dispose();
}

// fixedTokens yields BOS and count - 1 ids below n, the same on every machine.
function* fixedTokens(n, count) {
	yield 1;
	for (let i = 1, x = 12345; i < count; i++) {
		x = (x * 1103515245 + 12345) % 2147483648;
		yield 3 + (x >>> 8) % (n - 3);
	}
}

// ---- main ----

const dir = args.keep ? path.resolve(args.keep) : mkdtempSync(path.join(tmpdir(), "trit-readers-"));
mkdirSync(dir, { recursive: true });
const at = (name) => path.join(dir, name);
try {
	const trit = at("trit" + exe), argmax = at("argmax" + exe);
	run("go", "build", "-o", trit, "./cmd/trit");
	run("go", "build", "-o", argmax, "./e2e/readers/argmax");

	// Made by export, convert, quantize and synth from the built-in model alone.
	const checkpoint = at("checkpoint");
	rmSync(checkpoint, { recursive: true, force: true });
	run(trit, "export", "--model", "demo", "--output", checkpoint);
	checkSafetensors(path.join(checkpoint, "model.safetensors"));

	const files = [path.join(root, "demo/demo.gguf")];
	const make = (name, ...argv) => {
		rmSync(at(name), { force: true });
		run(trit, ...argv.map((a) => (a === "OUT" ? at(name) : a)));
		files.push(at(name));
		return at(name);
	};
	for (const type of ["i2_s", "tq1_0", "tq2_0", "f16", "bf16", "f32"]) {
		make(`demo-${type}.gguf`, "convert", "--input", checkpoint, "--output", "OUT", "--type", type);
	}
	for (const type of ["q8_0", "q6_k", "q4_0"]) {
		make(`demo-embedding-${type}.gguf`, "quantize", "--input", "demo", "--output", "OUT", "--embedding", type);
	}
	make("llama-i2_s.gguf", "synth", "--shape", "tiny-llama", "--type", "i2_s", "OUT");
	const llamaFiles = ["tq2_0", "tq1_0", "f16"].map((type) =>
		[make(`llama-${type}.gguf`, "synth", "--shape", "tiny-llama", "--type", type, "OUT"), type.toUpperCase(), 256]);
	if (args.large) {
		for (const type of ["tq2_0", "f16"]) {
			llamaFiles.push([make(`bitnet-large-${type}.gguf`, "synth", "--shape", "bitnet-large", "--type", type, "OUT"), type.toUpperCase(), 64]);
		}
	}
	for (const file of files) await checkGGUF(file, trit);

	const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error });
	console.log(`llama.cpp release ${llama.llamaCppRelease.release}`);
	for (const [file, type, count] of llamaFiles) await checkLlama(llama, file, type, argmax, count);
	await llama.dispose();
} finally {
	if (!args.keep) rmSync(dir, { recursive: true, force: true });
}
console.log(failures === 0 ? "all readers agree" : `${failures} checks failed`);
process.exitCode = failures === 0 ? 0 : 1;
