// Runs JavaScript that a model wrote, in a frame that reaches nothing: an origin of
// its own, no network, no page. The frame is made for each run and taken away after it.

import { h } from "./dom.mjs";

const TIME = 5000; // ms
const START = 10_000; // ms, for the frame itself
const MOST = 20_000; // characters of a result

/** What the code printed and gave. Errors of the code are text; rejects only if it was stopped. */
export function runScript(code, signal) {
  const frame = h("iframe", { sandbox: "allow-scripts", hidden: true, title: "JavaScript", src: new URL("../sandbox.html", import.meta.url).href });
  const { port1, port2 } = new MessageChannel();
  let timer = 0;
  return new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error("the frame did not answer")), START + TIME);
    const stop = () => reject(new Error("stopped"));
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop();
    port1.onmessage = ({ data }) => {
      const text = String(data);
      resolve(text.length > MOST ? `${text.slice(0, MOST)}\n… (cut after ${MOST} characters)` : text.trimEnd() || "(nothing was printed or returned)");
    };
    frame.addEventListener("load", () => frame.contentWindow.postMessage({ code, most: MOST, time: TIME }, "*", [port2]), { once: true });
    document.body.append(frame);
  }).finally(() => {
    clearTimeout(timer);
    port1.close();
    frame.remove(); // and with it whatever still runs
  });
}
