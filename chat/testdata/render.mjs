// Renders every chat template with Hugging Face's JavaScript implementation and writes what a
// Go test compares with:
//
//     npm install @huggingface/jinja     (in any folder, then run from there)
//     node render.mjs > expected.json
//
// Templates: ../templates/*.jinja (the built-in ones) and templates/*.jinja.
// Conversations: conversations.json. A template that refuses a conversation has an "error".
import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const { Template } = createRequire(path.join(process.cwd(), "index.js"))("@huggingface/jinja");
const here = path.dirname(fileURLToPath(import.meta.url));
const conversations = JSON.parse(fs.readFileSync(path.join(here, "conversations.json"), "utf8"));

// strftime_now reads the clock: stop it.
globalThis.Date = class extends Date {
  constructor() {
    super(2024, 6, 26, 14, 5, 9);
  }
};

const out = [];
for (const dir of [path.join(here, "..", "templates"), path.join(here, "templates")]) {
  for (const file of fs.readdirSync(dir).filter((f) => f.endsWith(".jinja")).sort()) {
    const source = fs.readFileSync(path.join(dir, file), "utf8");
    const template = new Template(source);
    for (const c of conversations) {
      const entry = { template: path.relative(path.join(here, ".."), path.join(dir, file)).replaceAll("\\", "/"), conversation: c.name };
      try {
        entry.prompt = template.render({
          messages: c.messages,
          tools: c.tools ?? null,
          documents: null,
          add_generation_prompt: c.add_generation_prompt,
          bos_token: c.bos_token,
          eos_token: c.eos_token,
          ...c.extra,
        });
      } catch (e) {
        entry.error = String(e.message);
      }
      out.push(entry);
    }
  }
}
console.log(JSON.stringify(out, null, 1));
