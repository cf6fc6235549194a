// The page around trit.wasm: loads it with its progress, and lets it tell a story.

const get = (id) => document.getElementById(id);
const say = (text) => { get("state").textContent = text; };

/** The program, which is compressed as not every server does that by itself. */
async function program() {
  const answer = await fetch("trit.wasm.gz");
  if (!answer.ok) throw new Error(`trit.wasm.gz: ${answer.status} ${answer.statusText}`);
  const total = Number(answer.headers.get("content-length"));
  let done = 0;
  const counted = new TransformStream({
    transform(part, out) {
      done += part.length;
      say(`Loading the program, ${(done / 1e6).toFixed(1)}${total > 0 ? ` of ${(total / 1e6).toFixed(1)}` : ""} MB …`);
      out.enqueue(part);
    },
  });
  const plain = answer.body.pipeThrough(counted).pipeThrough(new DecompressionStream("gzip"));
  return new Response(plain, { headers: { "content-type": "application/wasm" } });
}

async function begin() {
  const go = new Go();
  const { instance } = await WebAssembly.instantiateStreaming(program(), go.importObject);
  say("Loading the model …");
  go.run(instance).then(() => say("The program has ended; load the page again."));
  const { name, milliseconds } = await trit.ready;
  say(`${name}, loaded in ${milliseconds} ms.`);
  get("go").disabled = false;
}

async function tell(event) {
  event.preventDefault();
  const prompt = get("prompt").value;
  const story = get("story");
  story.textContent = prompt;
  get("go").disabled = true;
  get("stop").disabled = false;
  const began = performance.now();
  let pieces = 0;
  const seed = Number(new URLSearchParams(location.search).get("seed") ?? Math.floor(Math.random() * 2 ** 32));
  const temperature = Number(new URLSearchParams(location.search).get("temperature") ?? 0.7);
  try {
    const end = await trit.generate(prompt, { tokens: 200, seed, temperature }, (text) => {
      story.append(text);
      pieces++;
      say(`${(pieces / ((performance.now() - began) / 1000)).toFixed(0)} tokens/s`);
    });
    say(`${end.tokens} tokens in ${(end.milliseconds / 1000).toFixed(1)} s, ${((1000 * end.tokens) / Math.max(end.milliseconds, 1)).toFixed(0)} tokens/s${end.finish === "cancelled" ? ", stopped" : ""}.`);
  } catch (error) {
    say(error.message);
  }
  get("go").disabled = false;
  get("stop").disabled = true;
}

document.querySelector("form").addEventListener("submit", tell);
get("stop").addEventListener("click", () => trit.stop());
try {
  await begin();
} catch (error) {
  say(`This does not work here: ${error.message}`);
}
document.documentElement.dataset.ready = "true";
