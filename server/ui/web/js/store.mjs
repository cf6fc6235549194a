// Keeps conversations in the browser's IndexedDB. The list needs only their
// heads, so those lie apart from the bodies. Where the browser offers no
// storage, everything still works until the page is closed, and the page says so.

import { headOf, normalizeConversation } from "./conversation.mjs";
import { t } from "./language.mjs";

const NAME = "trit";
const HEADS = "heads";
const BODIES = "bodies";

/** Why something could not be kept: "full" or "failed". */
export class StoreError extends Error {
  constructor(kind, cause) {
    super(kind === "full" ? t("The browser's storage is full.") : t`The browser could not store the chat: ${cause?.message ?? cause}`);
    this.name = "StoreError";
    this.kind = kind;
  }
}

/** Opens the store; falls back to memory. */
export async function openStore() {
  try {
    const database = await openDatabase();
    return new Store(new DatabaseBackend(database), true);
  } catch {
    return new Store(new MemoryBackend(), false);
  }
}

class Store {
  #backend;
  #channel = null;

  /** @param {boolean} lasting whether conversations outlive the page */
  constructor(backend, lasting) {
    this.#backend = backend;
    this.lasting = lasting;
    if (lasting && "BroadcastChannel" in globalThis) this.#channel = new BroadcastChannel("trit-chats");
  }

  /** Calls back when another tab has changed a conversation. */
  onForeignChange(callback) {
    if (this.#channel) this.#channel.onmessage = ({ data }) => callback(data);
  }

  /** Heads {id, title, updated, pinned, folder}, newest first. */
  async heads() {
    const heads = await this.#backend.heads();
    return heads.sort((a, b) => b.updated - a.updated);
  }

  async get(id) {
    return normalizeConversation((await this.#backend.get(id)) ?? null);
  }

  async all() {
    const bodies = await this.#backend.bodies();
    return bodies.map(normalizeConversation).filter((conversation) => conversation !== null);
  }

  async put(conversation) {
    await this.#backend.put(headOf(conversation), conversation);
    this.#channel?.postMessage({ id: conversation.id });
  }

  async remove(id) {
    await this.#backend.remove(id);
    this.#channel?.postMessage({ id });
  }

  async clear() {
    await this.#backend.clear();
    this.#channel?.postMessage({ id: null });
  }

  /** Ids of conversations that contain all the words, with a piece of text around the first. */
  async search(query) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const found = new Map();
    if (words.length === 0) return found;
    for (const body of await this.#backend.bodies()) {
      const texts = [`${body.title}\n${body.folder ?? ""}`, ...body.messages.flatMap((message) => [message.content, ...(message.files ?? []).flatMap((file) => [file.name, file.text])])];
      const all = texts.join("\n").toLowerCase();
      if (!words.every((word) => all.includes(word))) continue;
      const text = texts.slice(1).find((candidate) => candidate.toLowerCase().includes(words[0])) ?? "";
      found.set(body.id, snippet(text, words[0]));
    }
    return found;
  }

  /** {used, limit} in bytes, or null where the browser does not tell. */
  async usage() {
    try {
      const { usage, quota } = await navigator.storage.estimate();
      return { used: usage, limit: quota };
    } catch {
      return null;
    }
  }
}

function snippet(text, word) {
  const at = text.toLowerCase().indexOf(word);
  if (at < 0) return "";
  const start = Math.max(0, at - 24);
  return (start > 0 ? "…" : "") + text.slice(start, at + 80).replace(/\s+/g, " ");
}

function openDatabase() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(HEADS, { keyPath: "id" });
      request.result.createObjectStore(BODIES, { keyPath: "id" });
    };
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another tab holds the database"));
  });
}

class DatabaseBackend {
  #database;

  constructor(database) {
    this.#database = database;
  }

  heads() {
    return this.#run([HEADS], "readonly", (tx) => tx.objectStore(HEADS).getAll());
  }

  bodies() {
    return this.#run([BODIES], "readonly", (tx) => tx.objectStore(BODIES).getAll());
  }

  get(id) {
    return this.#run([BODIES], "readonly", (tx) => tx.objectStore(BODIES).get(id));
  }

  put(head, body) {
    return this.#run([HEADS, BODIES], "readwrite", (tx) => {
      tx.objectStore(HEADS).put(head);
      tx.objectStore(BODIES).put(body);
    });
  }

  remove(id) {
    return this.#run([HEADS, BODIES], "readwrite", (tx) => {
      tx.objectStore(HEADS).delete(id);
      tx.objectStore(BODIES).delete(id);
    });
  }

  clear() {
    return this.#run([HEADS, BODIES], "readwrite", (tx) => {
      tx.objectStore(HEADS).clear();
      tx.objectStore(BODIES).clear();
    });
  }

  #run(stores, mode, work) {
    return new Promise((resolve, reject) => {
      const fail = (error) => reject(new StoreError(error?.name === "QuotaExceededError" ? "full" : "failed", error));
      try {
        const tx = this.#database.transaction(stores, mode);
        const request = work(tx);
        if (mode === "readwrite") tx.commit(); // at once, lest the page be closed before
        tx.oncomplete = () => resolve(request?.result);
        tx.onabort = () => fail(tx.error);
        tx.onerror = () => fail(tx.error);
      } catch (error) {
        fail(error);
      }
    });
  }
}

class MemoryBackend {
  #heads = new Map();
  #bodies = new Map();

  async heads() {
    return [...this.#heads.values()];
  }

  async bodies() {
    return [...this.#bodies.values()];
  }

  async get(id) {
    return this.#bodies.get(id);
  }

  async put(head, body) {
    this.#heads.set(head.id, head);
    this.#bodies.set(head.id, structuredClone(body));
  }

  async remove(id) {
    this.#heads.delete(id);
    this.#bodies.delete(id);
  }

  async clear() {
    this.#heads.clear();
    this.#bodies.clear();
  }
}
