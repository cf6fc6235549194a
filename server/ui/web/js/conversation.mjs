// What a conversation is. Its messages form a tree: editing a message or asking
// for another answer adds a sibling, so nothing is ever overwritten. The leaf
// says which path through the tree is shown and sent.
//
// Conversation: {id, title, named, titled, created, updated, model, settings, messages, leaf, from, pinned, folder}
//   named     the user chose the title
//   titled    the model gave it
//   from      the id of the first message that is sent, or null for all
// Message: {id, parent, role: "user"|"assistant", content, created, …}
//   of a user also: files: [{name, text, tokens}]
//   of an assistant also: model, reasoning, reasoningMs, reasoningTokens, tools: [{id, name, arguments, result}],
//   logprobs: [{text, p, top: [{text, p}]}] of its tokens if they were asked for, format: "json" if a schema was given,
//   status: "waiting"|"streaming"|"done"|"stopped"|"error", finish, error, stats

import { t } from "./language.mjs";
import { definitions, TOOLS } from "./tools.mjs";

export const FORMAT = "trit-chats";

/** Sampling settings: the names of the request's fields, and what they may be. */
export const FIELDS = [
  { name: "temperature", label: t("Temperature"), min: 0, max: 2, step: 0.05, hint: t("0 always takes the likeliest word; more is livelier") },
  { name: "top_p", label: t("Top-p"), min: 0, max: 1, step: 0.01, hint: t("only the likeliest words that share this probability") },
  { name: "top_k", label: t("Top-k"), min: 0, max: 1000, step: 1, integer: true, hint: t("only this many of the likeliest words; 0 is all") },
  { name: "min_p", label: t("Min-p"), min: 0, max: 1, step: 0.01, hint: t("no words below this share of the likeliest one") },
  { name: "repetition_penalty", label: t("Repetition penalty"), min: 0.5, max: 2, step: 0.05, hint: t("above 1 makes repeated words less likely") },
  { name: "seed", label: t("Seed"), min: 0, max: 4294967295, step: 1, integer: true, hint: t("the same seed gives the same answer") },
  { name: "max_tokens", label: t("Longest answer"), min: 1, max: 1000000, step: 1, integer: true, hint: t("in tokens") },
];

/** Fields of the request that the page itself needs; the user's own JSON cannot change them. */
const RESERVED = new Set(["messages", "stream", "stream_options", "return_progress", "model", "n", "continue_final_message", "add_generation_prompt"]);

export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function newConversation(settings, model) {
  const now = Date.now();
  return {
    id: newId(), title: "", named: false, titled: false, created: now, updated: now, model: model ?? "",
    settings: normalizeSettings(settings), messages: [], leaf: null, from: null, pinned: false, folder: "",
  };
}

/** What the list of chats needs to know of a conversation. */
export function headOf({ id, title, updated, pinned, folder }) {
  return { id, title, updated, pinned, folder };
}

/** The messages from the first one to the leaf. */
export function pathOf(conversation, leaf = conversation.leaf) {
  const byId = new Map(conversation.messages.map((message) => [message.id, message]));
  const path = [];
  for (let message = byId.get(leaf); message && path.length <= byId.size; message = byId.get(message.parent)) path.push(message);
  return path.reverse();
}

/** A function from a message to its versions: itself and the other answers to the same question. */
export function versionsOf(conversation) {
  const family = ({ parent, role }) => `${role} ${parent}`;
  const versions = new Map();
  for (const message of conversation.messages) {
    const list = versions.get(family(message));
    if (list) list.push(message);
    else versions.set(family(message), [message]);
  }
  return (message) => versions.get(family(message));
}

/** Adds a message below a parent (null: at the top) and shows it. */
export function addMessage(conversation, parent, fields) {
  const message = { id: newId(), parent, created: Date.now(), content: "", ...fields };
  conversation.messages.push(message);
  conversation.leaf = message.id;
  touch(conversation);
  return message;
}

/** Shows another version of a message, and what followed it last. */
export function showVersion(conversation, message) {
  let leaf = message;
  for (;;) {
    const child = conversation.messages.findLast((other) => other.parent === leaf.id);
    if (!child) break;
    leaf = child;
  }
  conversation.leaf = leaf.id;
}

/** Takes a message and everything below it away. Returns a function that brings them back. */
export function removeMessage(conversation, message) {
  const before = { messages: conversation.messages, leaf: conversation.leaf, from: conversation.from };
  const gone = new Set([message.id]);
  for (const other of conversation.messages) if (gone.has(other.parent)) gone.add(other.id);
  conversation.messages = conversation.messages.filter((other) => !gone.has(other.id));
  if (gone.has(conversation.from)) conversation.from = null;
  if (gone.has(conversation.leaf)) {
    const sibling = conversation.messages.findLast((other) => other.parent === message.parent);
    if (sibling) showVersion(conversation, sibling);
    else conversation.leaf = message.parent;
  }
  touch(conversation);
  return () => {
    Object.assign(conversation, before);
    touch(conversation);
  };
}

export function touch(conversation) {
  conversation.updated = Date.now();
  if (!conversation.named && !conversation.titled) conversation.title = titleFor(conversation);
}

function titleFor(conversation) {
  const first = pathOf(conversation).find((message) => message.role === "user") ?? conversation.messages.find((message) => message.role === "user");
  if (!first) return "";
  return shortened((first.content.trim() || (first.files?.[0]?.name ?? "")).replace(/\s+/g, " "));
}

/** A line that is short enough for a title. */
export function shortened(line) {
  if (line.length <= 60) return line;
  const cut = line.slice(0, 60);
  const space = cut.lastIndexOf(" ");
  return `${(space > 30 ? cut.slice(0, space) : cut).trimEnd()}…`;
}

/** A file as the model gets to see it. */
export function fileText({ name, text }) {
  // The fence is longer than any that the file holds.
  const longest = Math.max(2, ...Array.from(text.matchAll(/`{3,}/g), (match) => match[0].length));
  const fence = "`".repeat(longest + 1);
  return `File ${JSON.stringify(name)}:\n${fence}\n${text}${text.endsWith("\n") ? "" : "\n"}${fence}`;
}

/** What a message says to the model: its files, then its words. */
export function textOf(message) {
  return [...(message.files ?? []).map(fileText), message.content].filter(Boolean).join("\n\n");
}

/** Whether an answer can be gone on with: it stopped, was cut, or broke off. */
export function canContinue(message) {
  return message.content !== "" && !message.tools?.length
    && (message.status === "stopped" || message.finish === "length" || (message.status === "error" && message.error?.kind !== "context"));
}

/** The messages that an answer becomes: calls go along with their results, if they have any. */
function answerMessages(message) {
  const tools = (message.tools ?? []).filter((tool) => typeof tool.result === "string");
  if (tools.length === 0) return message.content === "" ? [] : [{ role: "assistant", content: message.content }];
  return [
    { role: "assistant", content: message.content, tool_calls: tools.map(({ id, name, arguments: text }) => ({ id, type: "function", function: { name, arguments: text } })) },
    ...tools.map(({ id, result }) => ({ role: "tool", tool_call_id: id, content: result })),
  ];
}

/**
 * The body of the request for an answer to the path that ends with a message;
 * with goesOn, for the rest of that message.
 */
export function requestBody(conversation, lastId, model, { goesOn = false } = {}) {
  const { settings } = conversation;
  const messages = [];
  if (settings.system) messages.push({ role: "system", content: settings.system });
  const path = pathOf(conversation, lastId);
  const start = Math.max(0, path.findIndex((message) => message.id === conversation.from));
  for (const message of path.slice(start)) {
    const content = textOf(message);
    if (message.role === "assistant") messages.push(...answerMessages(message));
    else if (content !== "") messages.push({ role: message.role, content });
  }
  const body = { ...(settings.extra ? JSON.parse(settings.extra) : {}) };
  for (const name of RESERVED) delete body[name];
  for (const { name } of FIELDS) if (settings[name] !== null) body[name] = settings[name];
  if (settings.stop.length > 0) body.stop = settings.stop;
  if (settings.tools.length > 0) body.tools = [...(Array.isArray(body.tools) ? body.tools : []), ...definitions(settings.tools)];
  if (settings.probabilities) Object.assign(body, { logprobs: true, top_logprobs: 5 });
  if (settings.schema) {
    const schema = JSON.parse(settings.schema);
    body.response_format = Object.keys(schema).length === 0 ? { type: "json_object" } : { type: "json_schema", json_schema: { name: "answer", schema, strict: true } };
  }
  if (goesOn) Object.assign(body, { continue_final_message: true, add_generation_prompt: false });
  return { ...body, model, messages, stream: true, stream_options: { include_usage: true }, return_progress: true };
}

/** Where to start instead so that about half of the questions before the last one are left out. Null: nothing is left to leave out. */
export function shorterStart(conversation, lastId) {
  const path = pathOf(conversation, lastId);
  const start = Math.max(0, path.findIndex((message) => message.id === conversation.from));
  const questions = path.slice(start).filter((message) => message.role === "user");
  if (questions.length < 2) return null;
  return questions[Math.ceil((questions.length - 1) / 2)].id;
}

export function defaultSettings() {
  const settings = { system: "", stop: [], tools: [], schema: "", probabilities: false, extra: "" };
  for (const { name } of FIELDS) settings[name] = null;
  return settings;
}

/** The value of a setting if it is allowed, or null. */
export function validNumber(field, value) {
  if (typeof value !== "number" || !Number.isFinite(value) || value < field.min || value > field.max) return null;
  return field.integer && !Number.isInteger(value) ? null : value;
}

/** What is wrong with the user's own JSON, or null. */
export function extraProblem(text) {
  const problem = objectProblem(text);
  const taken = problem || text.trim() === "" ? undefined : Object.keys(JSON.parse(text)).find((key) => RESERVED.has(key));
  return taken ? t`The page itself sets “${taken}”.` : problem;
}

/** Why a text is no JSON object, or null; an empty one is fine. */
export function objectProblem(text) {
  if (text.trim() === "") return null;
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return t`This is not JSON: ${error.message}`;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) return t("This must be an object: { … }");
  return null;
}

export function normalizeSettings(raw) {
  const settings = defaultSettings();
  if (raw === null || typeof raw !== "object") return settings;
  settings.system = string(raw.system);
  for (const field of FIELDS) settings[field.name] = validNumber(field, raw[field.name]);
  if (Array.isArray(raw.stop)) settings.stop = raw.stop.filter((text) => typeof text === "string" && text !== "").slice(0, 16);
  if (Array.isArray(raw.tools)) settings.tools = Object.keys(TOOLS).filter((name) => raw.tools.includes(name));
  if (objectProblem(string(raw.schema)) === null) settings.schema = string(raw.schema).trim();
  settings.probabilities = raw.probabilities === true;
  const extra = string(raw.extra);
  if (extraProblem(extra) === null) settings.extra = extra.trim();
  return settings;
}

/** The name of a folder as it is kept; "" is none. */
export function folderName(text) {
  return string(text).replace(/\s+/g, " ").trim().slice(0, 60);
}

/** The file that export writes. */
export function exportFile(conversations, presets = []) {
  return JSON.stringify({ format: FORMAT, version: 1, exported: new Date().toISOString(), ...(presets.length > 0 ? { presets } : {}), conversations }, null, 1);
}

/**
 * Reads a file that export wrote, one conversation, or a bare list of
 * {role, content} messages: {conversations, presets}, the presets as they stand there.
 * Throws an Error whose message is for the user.
 */
export function importFile(text) {
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    throw new Error(t("This file is not JSON."));
  }
  if (data?.format === FORMAT && data.version !== 1) throw new Error(t`This file is of version ${data.version}; this page reads version 1.`);
  const list = Array.isArray(data?.conversations) ? data.conversations : Array.isArray(data) && !data[0]?.role ? data : [Array.isArray(data) ? { messages: data } : data];
  const conversations = list.map(normalizeConversation).filter((conversation) => conversation !== null);
  const presets = data?.format === FORMAT && Array.isArray(data.presets) ? data.presets : [];
  if (conversations.length + presets.length === 0) throw new Error(t("There are no chats in this file."));
  return { conversations, presets };
}

/** Makes a sound conversation of whatever came from a file or the browser's storage, or null. */
export function normalizeConversation(raw) {
  if (raw === null || typeof raw !== "object" || !Array.isArray(raw.messages)) return null;
  const conversation = newConversation(raw.settings, string(raw.model));
  if (/^[\w-]{1,64}$/.test(string(raw.id))) conversation.id = raw.id;
  conversation.created = number(raw.created) ?? conversation.created;
  const ids = new Set();
  let previous = null;
  for (const item of raw.messages) {
    const message = normalizeMessage(item, previous);
    if (message === null) continue;
    if (message === "system") {
      conversation.settings.system ||= string(item.content);
      continue;
    }
    if (ids.has(message.id)) message.id = newId();
    // A parent that has not come yet would make the tree a tangle.
    if (message.parent !== null && !ids.has(message.parent)) message.parent = previous;
    ids.add(message.id);
    conversation.messages.push(message);
    previous = message.id;
  }
  if (conversation.messages.length === 0) return null;
  conversation.leaf = ids.has(raw.leaf) ? raw.leaf : previous;
  conversation.from = ids.has(raw.from) ? raw.from : null;
  conversation.pinned = raw.pinned === true;
  conversation.folder = folderName(raw.folder);
  conversation.named = raw.named === true && string(raw.title) !== "";
  conversation.titled = raw.titled === true && string(raw.title) !== "";
  conversation.title = conversation.named || conversation.titled ? string(raw.title).slice(0, 200) : titleFor(conversation);
  conversation.updated = number(raw.updated) ?? conversation.updated;
  return conversation;
}

function normalizeMessage(item, previous) {
  if (item === null || typeof item !== "object" || typeof item.content !== "string") return null;
  if (item.role === "system") return "system";
  if (item.role !== "user" && item.role !== "assistant") return null;
  const message = {
    id: /^[\w-]{1,64}$/.test(string(item.id)) ? item.id : newId(),
    parent: item.parent === undefined ? previous : typeof item.parent === "string" ? item.parent : null,
    role: item.role, content: item.content, created: number(item.created) ?? Date.now(),
  };
  if (item.role === "user") {
    const files = (Array.isArray(item.files) ? item.files : []).filter((file) => typeof file?.name === "string" && typeof file.text === "string");
    if (files.length > 0) message.files = files.map(({ name, text, tokens }) => ({ name, text, tokens: number(tokens) }));
    return message;
  }
  message.model = string(item.model);
  message.reasoning = string(item.reasoning);
  message.reasoningMs = number(item.reasoningMs);
  message.reasoningTokens = number(item.reasoningTokens);
  message.tools = (Array.isArray(item.tools) ? item.tools : []).map((tool, i) => ({
    id: string(tool?.id) || `call_${i}`, name: string(tool?.name), arguments: string(tool?.arguments), ...(typeof tool?.result === "string" ? { result: tool.result } : {}),
  }));
  if (item.format === "json") message.format = "json";
  if (Array.isArray(item.logprobs)) message.logprobs = item.logprobs.map(normalizeToken);
  message.finish = typeof item.finish === "string" ? item.finish : null;
  message.status = ["done", "stopped", "error"].includes(item.status) ? item.status : "done";
  if (item.status === "waiting" || item.status === "streaming") message.status = "stopped"; // the page was closed meanwhile
  message.error = message.status === "error" ? { kind: string(item.error?.kind) || "server", message: string(item.error?.message) } : null;
  message.stats = null;
  if (item.stats !== null && typeof item.stats === "object") {
    message.stats = {};
    for (const key of ["prompt", "cached", "read", "completion", "speed", "first", "total"]) message.stats[key] = number(item.stats[key]);
  }
  return message;
}

function normalizeToken(raw) {
  const one = (item) => ({ text: string(item?.text), p: Math.max(0, Math.min(1, number(item?.p) ?? 0)) });
  return { ...one(raw), top: (Array.isArray(raw?.top) ? raw.top : []).map(one) };
}

function string(value) {
  return typeof value === "string" ? value : "";
}

function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
