// The OpenAI API of the server that this page came from. Every failure becomes
// an ApiError with a kind that the page has words and a remedy for.

import { t } from "./language.mjs";
import { EventParser } from "./sse.mjs";

/**
 * Kinds of failure:
 * - network: no answer at all
 * - broken: the stream ended before the answer did
 * - auth: a key is missing or wrong (401)
 * - forbidden: refused whatever the key (403)
 * - busy: too many requests (429)
 * - loading: not ready yet (503)
 * - context: the conversation does not fit the model's context
 * - request: the server did not accept a field
 * - server: anything else
 */
export class ApiError extends Error {
  constructor(kind, message, { status = 0, retryAfter = null, code = null, param = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.kind = kind;
    this.status = status;
    this.retryAfter = retryAfter;
    this.code = code;
    this.param = param;
  }
}

const KEY_NAME = "trit.key";

export class Api {
  /** @param {URL} base the folder that v1/ and props are in */
  constructor(base) {
    this.base = base;
    this.key = readKey();
  }

  /** Keeps the key for this tab, or for good if the user wants that. */
  setKey(key, remember) {
    this.key = key;
    try {
      sessionStorage.removeItem(KEY_NAME);
      localStorage.removeItem(KEY_NAME);
      if (key) (remember ? localStorage : sessionStorage).setItem(KEY_NAME, key);
    } catch {
      // Without storage the key lives as long as the page, which is what is left to offer.
    }
  }

  /** GET v1/models: an array of {id, context_length?, …}. */
  async models(signal) {
    const body = await this.list(signal);
    if (!Array.isArray(body?.data)) {
      throw new ApiError("server", t("The server's list of models is not in the OpenAI form."));
    }
    return body.data.filter((model) => typeof model?.id === "string");
  }

  /** GET props: an object, or null where the server has no such page. */
  async props(signal, model) {
    const path = model ? `props?model=${encodeURIComponent(model)}` : "props";
    try {
      return await this.#json(path, { signal });
    } catch (error) {
      if (error.name === "AbortError" || error.kind === "auth") throw error;
      return null;
    }
  }

  /** GET v1/models as it is: {data, memory: {used, limit}}. */
  list(signal) {
    return this.#json("v1/models", { signal });
  }

  /** The state of a model: {value: "loaded"|"loading"|…, progress}, or null where the server does not tell. */
  async state(id, signal) {
    try {
      return (await this.#json(`v1/models/${id.split("/").map(encodeURIComponent).join("/")}`, { signal })).status ?? null;
    } catch {
      return null;
    }
  }

  /** How many tokens a text is for a model. */
  async countTokens(model, content, signal) {
    const { tokens } = await this.send("POST", "tokenize", { model, content, parse_special: false }, signal);
    return tokens.length;
  }

  /** GET of some other address, as JSON. */
  get(path) {
    return this.#json(path, {});
  }

  /** Sends a body with a method; the parsed answer, or null if it is empty. */
  async send(method, path, body, signal) {
    const response = await this.#fetch(path, { method, signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const text = await response.text();
    return text === "" ? null : JSON.parse(text);
  }

  /** POST whose answer is a JSON value in each line, given to onLine as they come. An error in a line is thrown. */
  async lines(path, body, signal, onLine) {
    const response = await this.#fetch(path, { method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      let piece;
      try {
        piece = await reader.read();
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new ApiError("broken", t("The connection broke off."));
      }
      rest += piece.value ?? "";
      const lines = rest.split("\n");
      rest = piece.done ? "" : lines.pop();
      for (const line of lines) {
        if (line.trim() === "") continue;
        const value = JSON.parse(line);
        if (value.error) throw fromBody(value, 500, null);
        onLine(value);
      }
      if (piece.done) return;
    }
  }

  /**
   * POST v1/chat/completions with streaming. Calls onChunk with every parsed
   * chunk. Returns when the server says [DONE]; throws ApiError or AbortError.
   */
  async chat(body, signal, onChunk) {
    const response = await this.#fetch("v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
      body: JSON.stringify(body),
      signal,
    });
    if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
      throw new ApiError("server", t("The server did not answer with a stream of events."), { status: response.status });
    }
    let done = false;
    let failure = null;
    let finished = false;
    const parser = new EventParser(({ data }) => {
      if (done || failure) return;
      if (data === "[DONE]") {
        done = true;
        return;
      }
      let chunk;
      try {
        chunk = JSON.parse(data);
      } catch {
        failure = new ApiError("server", t("The server sent an event that is not JSON."));
        return;
      }
      if (chunk.error) {
        failure = fromBody(chunk, Number(chunk.error.status ?? chunk.error.code) || 500, null);
        return;
      }
      if (chunk.choices?.[0]?.finish_reason) finished = true;
      onChunk(chunk);
    });
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    try {
      while (!done && !failure) {
        const { value, done: ended } = await reader.read();
        if (ended) break;
        parser.push(decoder.decode(value, { stream: true }));
      }
    } catch (error) {
      if (error.name === "AbortError") throw error;
      failure ??= new ApiError("broken", t("The connection broke off before the answer was complete."));
    }
    parser.push(decoder.decode());
    parser.end();
    if (failure) {
      reader.cancel().catch(() => {});
      throw failure;
    }
    if (!done && !finished) {
      throw new ApiError("broken", t("The connection broke off before the answer was complete."));
    }
  }

  async #json(path, options) {
    const response = await this.#fetch(path, { ...options, headers: { Accept: "application/json" } });
    try {
      return await response.json();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError("server", t`The server's answer to ${path} is not JSON.`, { status: response.status });
    }
  }

  async #fetch(path, options) {
    const headers = new Headers(options.headers);
    if (this.key) headers.set("Authorization", `Bearer ${this.key}`);
    let response;
    try {
      response = await fetch(new URL(path, this.base), {
        ...options,
        headers,
        cache: "no-store",
        credentials: "same-origin",
        redirect: "error",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError("network", t("The server does not answer."));
    }
    if (response.ok) return response;
    const text = await response.text().catch(() => "");
    let body = null;
    try {
      body = JSON.parse(text);
    } catch {
      body = { error: { message: text.trim().slice(0, 500) } };
    }
    throw fromBody(body, response.status, response.headers.get("retry-after"));
  }
}

/** Makes an ApiError from an error body in OpenAI's form. */
export function fromBody(body, status, retryAfter) {
  const inner = typeof body?.error === "string" ? { message: body.error } : (body?.error ?? {});
  const message = typeof inner.message === "string" && inner.message ? inner.message : t`The server answered with status ${status}.`;
  const code = inner.code == null ? null : String(inner.code);
  const details = {
    status,
    code,
    param: typeof inner.param === "string" ? inner.param : null,
    retryAfter: parseRetryAfter(retryAfter),
  };
  return new ApiError(kindOf(status, code, inner.type, message), message, details);
}

function kindOf(status, code, type, message) {
  if (status === 401) return "auth";
  if (status === 403) return "forbidden";
  if (status === 429) return "busy";
  if (status === 503) return "loading";
  if (code === "context_length_exceeded" || type === "exceed_context_size_error") return "context";
  if (status >= 400 && status < 500) {
    return /\bcontext\b.*\b(length|size|window|full|tokens?)\b|\bexceeds?\b.*\bcontext\b/i.test(message) ? "context" : "request";
  }
  return "server";
}

/** Seconds from a Retry-After header (a number of seconds or a date), or null. */
export function parseRetryAfter(value, now = Date.now()) {
  if (value == null || value === "") return null;
  if (/^\s*\d+(\.\d+)?\s*$/.test(value)) return Math.min(Number(value), 3600);
  const date = Date.parse(value);
  if (Number.isNaN(date)) return null;
  return Math.min(Math.max(0, (date - now) / 1000), 3600);
}

function readKey() {
  try {
    return sessionStorage.getItem(KEY_NAME) ?? localStorage.getItem(KEY_NAME) ?? "";
  } catch {
    return "";
  }
}
