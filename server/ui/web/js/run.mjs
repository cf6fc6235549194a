// One answer being written: sends the request, takes the stream apart into the
// message, waits and tries again where that is what the server asks for, and
// measures. Knows nothing about the document.

import { t } from "./language.mjs";

const RETRY_BUSY = 5; // times
const RETRY_LOADING = 600_000; // ms
const WATCH_EVERY = 1000; // ms
const THINK_OPEN = "<think>";
const THINK_CLOSE = "</think>";

/** A token with its probability instead of its logarithm; four digits are enough to look at. */
function probability({ token, logprob }) {
  return { text: String(token), p: Math.round(1e4 * Math.exp(logprob)) / 1e4 };
}

export class Run {
  #api;
  #hooks;
  #abort = new AbortController();
  #wake = null;
  #phase = "start"; // of a content that may begin with <think>
  #pending = "";
  #thinkingSince = 0;
  #before = 0; // tokens that the answer had already
  #usage = null;
  #timings = null;
  #sent = 0;
  #watching = 0; // the timer that asks for the state of the model
  #firstAt = 0;
  #lastAt = 0;

  /**
   * @param hooks {body(signal): Promise<object>, onChange(), askKey(refused): Promise<boolean>}:
   *   body makes the request; onChange is called after every change of the message or of wait
   */
  constructor(api, conversation, message, hooks) {
    if (message.content !== "") { // goes on with what is there
      this.#phase = "text";
      this.#before = message.stats?.completion ?? 0;
    }
    this.#api = api;
    this.conversation = conversation;
    this.message = message;
    this.#hooks = hooks;
    /** While the run waits to try again: {kind: "busy"|"loading", until, message}. */
    this.wait = null;
    /** How far the model is loaded, 0 to 1, while it is; null otherwise. */
    this.loading = null;
    /** How much of the prompt has been read, 0 to 1, while the server tells; null otherwise. */
    this.read = null;
    this.since = performance.now();
  }

  stop() {
    this.#abort.abort();
    this.#wake?.();
  }

  /** Ends a wait at once. */
  tryNow() {
    this.#wake?.();
  }

  /** Writes the answer into the message. Never throws: failures end up in message.error. */
  async go() {
    const { message } = this;
    const began = performance.now();
    let busy = 0;
    let refused = false;
    for (let attempt = 0; ; attempt++) {
      const { key } = this.#api;
      try {
        const body = await this.#hooks.body(this.#abort.signal);
        this.#sent = performance.now();
        this.#watching = setInterval(() => this.#watch(body.model), WATCH_EVERY);
        await this.#api.chat(body, this.#abort.signal, (chunk) => this.#take(chunk));
        this.#end("done");
        return;
      } catch (error) {
        if (this.#abort.signal.aborted) {
          this.#end("stopped");
          return;
        }
        const fresh = this.#firstAt === 0;
        if (fresh && error.kind === "auth" && this.#api.key !== key) continue; // there is another one meanwhile
        if (fresh && error.kind === "auth" && (await this.#hooks.askKey(refused))) {
          refused = true;
          continue;
        }
        if (fresh && error.kind === "busy" && busy++ < RETRY_BUSY) {
          await this.#pause("busy", error.retryAfter ?? Math.min(30, 2 ** busy), error.message);
          if (!this.#abort.signal.aborted) continue;
          this.#end("stopped");
          return;
        }
        if (fresh && error.kind === "loading" && performance.now() - began < RETRY_LOADING) {
          await this.#pause("loading", error.retryAfter ?? Math.min(5, 1 + attempt), error.message);
          if (!this.#abort.signal.aborted) continue;
          this.#end("stopped");
          return;
        }
        message.error = { kind: error.kind ?? "server", message: error.kind ? error.message : t`The page failed: ${error.message}` };
        this.#end("error");
        return;
      } finally {
        clearInterval(this.#watching);
      }
    }
  }

  /** Until something comes, asks whether that is because the model is being loaded; no more once it is. */
  async #watch(model) {
    const state = this.#firstAt === 0 ? await this.#api.state(model, this.#abort.signal) : null;
    const loading = state?.value === "loading" && this.#firstAt === 0 ? state.progress : null;
    if (!state || state.value === "loaded") clearInterval(this.#watching);
    if (loading === this.loading) return;
    this.loading = loading;
    this.#hooks.onChange();
  }

  async #pause(kind, seconds, message) {
    this.wait = { kind, message, until: performance.now() + seconds * 1000 };
    this.#hooks.onChange();
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
    this.wait = null;
    this.#hooks.onChange();
  }

  #take(chunk) {
    const { message } = this;
    if (chunk.usage) this.#usage = chunk.usage;
    if (chunk.prompt_progress?.total > 0) this.read = chunk.prompt_progress.processed / chunk.prompt_progress.total;
    if (chunk.timings) this.#timings = chunk.timings;
    if (typeof chunk.model === "string" && chunk.model) message.model = chunk.model;
    const choice = chunk.choices?.[0];
    if (choice) {
      const delta = choice.delta ?? {};
      const reasoning = delta.reasoning_content ?? delta.reasoning;
      if (typeof reasoning === "string" && reasoning !== "") {
        this.#token();
        this.#think(reasoning);
      }
      if (typeof delta.content === "string" && delta.content !== "") {
        this.#token();
        this.#text(delta.content);
      }
      if (typeof delta.refusal === "string" && delta.refusal !== "") {
        this.#token();
        message.content += delta.refusal;
      }
      for (const call of delta.tool_calls ?? []) {
        this.#token();
        this.#tool(call);
      }
      for (const item of choice.logprobs?.content ?? []) {
        (message.logprobs ??= []).push({ ...probability(item), top: (item.top_logprobs ?? []).map(probability) });
      }
      if (choice.finish_reason) message.finish = choice.finish_reason;
    }
    this.#hooks.onChange();
  }

  #token() {
    const now = performance.now();
    if (this.#firstAt === 0) {
      this.#firstAt = now;
      this.message.status = "streaming";
    }
    this.#lastAt = now;
  }

  #think(text) {
    this.#thinkingSince ||= performance.now();
    this.message.reasoning = (this.message.reasoning ?? "") + text;
    // A piece is a token, or a few; the usage at the end knows better.
    this.message.reasoningTokens = (this.message.reasoningTokens ?? 0) + 1;
  }

  #stopThinking() {
    if (this.#thinkingSince === 0) return;
    this.message.reasoningMs = performance.now() - this.#thinkingSince;
    this.#thinkingSince = 0;
  }

  /** Sorts content into answer and <think>…</think> at its beginning. */
  #text(text) {
    const { message } = this;
    if (this.#phase === "text") {
      this.#stopThinking();
      message.content += text;
      return;
    }
    this.#pending += text;
    if (this.#phase === "start") {
      const begun = this.#pending.trimStart();
      if (begun.length < THINK_OPEN.length && THINK_OPEN.startsWith(begun)) return;
      if (begun.startsWith(THINK_OPEN)) {
        this.#phase = "think";
        this.#pending = begun.slice(THINK_OPEN.length);
      } else this.#phase = "text";
    }
    if (this.#phase === "think") {
      const close = this.#pending.indexOf(THINK_CLOSE);
      if (close < 0) {
        const safe = this.#pending.length - THINK_CLOSE.length;
        if (safe > 0) {
          this.#think(this.#pending.slice(0, safe));
          this.#pending = this.#pending.slice(safe);
        }
        return;
      }
      this.#think(this.#pending.slice(0, close));
      this.#pending = this.#pending.slice(close + THINK_CLOSE.length).trimStart();
      this.#phase = "text";
    }
    this.#stopThinking();
    message.content += this.#pending;
    this.#pending = "";
  }

  #tool(delta) {
    const tools = (this.message.tools ??= []);
    const index = Number.isInteger(delta.index) && delta.index >= 0 && delta.index <= tools.length ? delta.index : tools.length;
    const tool = (tools[index] ??= { id: "", name: "", arguments: "" });
    if (typeof delta.id === "string") tool.id ||= delta.id;
    if (typeof delta.function?.name === "string") tool.name += delta.function.name;
    if (typeof delta.function?.arguments === "string") tool.arguments += delta.function.arguments;
  }

  #end(status) {
    const { message } = this;
    if (this.#pending) {
      if (this.#phase === "think") this.#think(this.#pending);
      else message.content += this.#pending;
      this.#pending = "";
    }
    this.#stopThinking();
    message.reasoningTokens = this.#usage?.completion_tokens_details?.reasoning_tokens || message.reasoningTokens;
    message.status = status;
    if (status !== "error") message.error = null;
    message.stats = this.#stats();
    this.wait = null;
    this.#hooks.onChange();
  }

  #stats() {
    if (this.#firstAt === 0) return this.message.stats ?? null;
    const completion = this.#usage?.completion_tokens ?? this.#timings?.predicted_n ?? null;
    const prompt = this.#usage ? this.#usage.prompt_tokens - this.#before : null;
    const span = this.#lastAt - this.#firstAt;
    // The server's own clock is better than ours, which also counts the network.
    let speed = this.#timings?.predicted_per_second ?? null;
    if (speed === null && completion > 1 && span >= 20) speed = ((completion - 1) / span) * 1000;
    if (speed === null && completion > 0) speed = (completion / Math.max(1, this.#lastAt - this.#sent)) * 1000;
    return { prompt, cached: this.#timings?.cache_n ?? null, read: this.#timings?.prompt_per_second ?? null, completion: completion === null ? null : completion + this.#before, speed, first: this.#firstAt - this.#sent, total: this.#lastAt - this.#sent };
  }
}
