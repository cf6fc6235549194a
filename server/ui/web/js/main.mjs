// The page: holds the open conversation and the running answers, and connects
// the parts, which do not know each other.

import { Api } from "./api.mjs";
import { Composer } from "./composer.mjs";
import {
  addMessage, exportFile, folderName, headOf, importFile, newConversation, newId, pathOf, removeMessage, requestBody, shorterStart, showVersion, touch,
} from "./conversation.mjs";
import { askKey, dialogOpen, download, prepareData, prepareDialogs, showData, showKeys } from "./dialogs.mjs";
import { announce, byId, h, setIcon } from "./dom.mjs";
import { t } from "./language.mjs";
import { Layout } from "./layout.mjs";
import { Manager } from "./manager.mjs";
import { examplesFor, Models } from "./models.mjs";
import { keepPage } from "./offline.mjs";
import { mergePresets, normalizePresets, readPresets, writePresets } from "./presets.mjs";
import { Run } from "./run.mjs";
import { loadDefaults, SettingsDrawer } from "./settings.mjs";
import { toMarkdown, toPage } from "./share.mjs";
import { Sidebar } from "./sidebar.mjs";
import { openStore } from "./store.mjs";
import { Thread } from "./thread.mjs";
import { askTitle, titlesWanted, wantsTitle } from "./titles.mjs";
import { Notices, toast } from "./toast.mjs";
import { MOST_ROUNDS, runTool } from "./tools.mjs";

const SAVE_EVERY = 600; // ms, while an answer is being written
const SPOKEN = 2000; // characters of an answer that are read out

// The API lies beside the folder ui/ that this module came from.
const api = new Api(new URL("../../../", import.meta.url));
const notices = new Notices();
const layout = new Layout();
const runs = new Map(); // by the id of the conversation
const saves = new Map(); // timers, by the id of the conversation
let store;
let heads = [];
let conversation = null;
let askingKey = null;
let titling = null; // ends the request for a title that is under way

const models = new Models(api, notices, {
  onChange: () => showModel(),
  askKey: (refused) => enterKey(refused),
});
const manager = new Manager(api, {
  use: (id) => {
    models.choose(id);
    showModel();
    composer.focus();
  },
  changed: () => models.watch(),
  askKey: (refused) => enterKey(refused),
});
const composer = new Composer({
  send: (text, files) => send(text, files),
  count: (text) => api.countTokens(models.chosen, text),
  limit: () => models.contextLength,
  used: () => (conversation ? usedTokens() : 0),
  stop: () => stop(),
  editLast: () => thread.editLast(),
});
const thread = new Thread({
  runOf: (message) => (runs.get(conversation?.id)?.message === message ? runs.get(conversation.id) : null),
  retry: (message) => retry(message),
  regenerate: (message) => answer(conversation, message.parent),
  continue: (message) => goOn(message),
  answerTools: (message, tools) => answerTools(message, tools),
  edit: (message, text) => edit(message, text),
  remove: (message) => remove(message),
  show: (message) => {
    showVersion(conversation, message);
    save(conversation);
    showConversation();
    thread.focusVersions(message);
  },
  canLeaveOut: (message) => shorterStart(conversation, message.parent) !== null,
  leaveOut: (message) => {
    conversation.from = shorterStart(conversation, message.parent);
    retry(message);
  },
  sendAll: () => {
    conversation.from = null;
    save(conversation);
    showConversation();
  },
  askKey: async (message) => {
    if (await enterKey(false)) retry(message);
  },
  openSettings: () => openSettings(),
  newChat: () => openNew(),
});
const sidebar = new Sidebar({
  open: (id) => navigate(id),
  rename: (id, title) => rename(id, title),
  pin: (id) => pin(id),
  move: (ids, folder) => move(ids, folder),
  remove: (ids) => removeConversations(ids),
  exportChosen: async (ids) => download(exportName("chats"), exportFile((await Promise.all(ids.map(find))).filter(Boolean))),
  search: (query) => store.search(query),
});
const settings = new SettingsDrawer(() => {
  if (!conversation) return;
  showSettingsDot();
  if (conversation.messages.length > 0) saveSoon(conversation);
});

// Conversations

/** Opens what the address names. */
async function route() {
  const id = /^#\/c\/([\w-]+)$/.exec(location.hash)?.[1];
  if (!id) {
    if (!conversation || conversation.messages.length > 0) openConversation(newConversation(loadDefaults(), models.chosen));
    return;
  }
  if (id === conversation?.id) return;
  const found = runs.get(id)?.conversation ?? (await store.get(id).catch(() => null));
  if (found) openConversation(found);
  else {
    toast(t("This chat is not in this browser."));
    openNew();
  }
}

function navigate(id) {
  const target = id ? `#/c/${id}` : "#/";
  layout.closeOverlay();
  if (location.hash !== target) history.pushState(null, "", target);
  return route();
}

function openNew() {
  navigate(null);
  composer.focus();
}

function openConversation(next) {
  flush(conversation);
  conversation = next;
  if (next.model) models.choose(next.model);
  composer.open(next.messages.length > 0 ? next.id : "new");
  showConversation();
  if (!layout.touch) composer.focus();
}

function showTitle() {
  const { title } = conversation;
  byId("title").textContent = title || t("New chat");
  document.title = title ? `${title} · Trit` : "Trit";
}

/** Shows the open conversation everywhere. */
function showConversation() {
  showTitle();
  byId("empty").hidden = conversation.messages.length > 0;
  thread.show(conversation);
  composer.setRunning(runs.has(conversation.id));
  showMeter();
  showSettingsDot();
  showSidebar();
}

function showSidebar() {
  sidebar.update({ heads, current: conversation?.id, running: new Set(runs.keys()) });
}

function showModel() {
  const { chosen } = models;
  composer.setModel(chosen);
  if (conversation && conversation.model !== chosen) {
    conversation.model = chosen;
    if (conversation.messages.length > 0) saveSoon(conversation);
  }
  const { text, examples } = examplesFor(chosen, models.supply);
  const get = byId("get-model");
  get.hidden = models.supply !== "none" && models.supply !== "demo";
  get.classList.toggle("primary", models.supply === "none");
  get.textContent = models.supply === "none" ? t("Get a model") : t("Get a larger model");
  byId("empty-text").textContent = text;
  byId("examples").replaceChildren(...examples.map((example) => {
    const button = h("button", { type: "button" }, example);
    button.addEventListener("click", () => {
      if (send(example)) composer.focus();
    });
    return h("li", null, button);
  }));
  showMeter();
}

function usedTokens() {
  const measured = pathOf(conversation).findLast((message) => message.stats?.prompt != null && message.stats.completion != null);
  return measured ? measured.stats.prompt + measured.stats.completion : 0;
}

function showMeter() {
  if (conversation) composer.setMeter(usedTokens(), models.contextLength);
}

function showSettingsDot() {
  const { stop, tools, ...rest } = conversation.settings;
  byId("settings-dot").hidden = stop.length + tools.length === 0 && Object.values(rest).every((value) => !value && value !== 0);
}

function openSettings() {
  settings.open(conversation.settings, models.defaults);
}

/** The conversation with an id, wherever it is; null if it is gone. */
async function find(id) {
  return id === conversation.id ? conversation : (runs.get(id)?.conversation ?? (await store.get(id)));
}

async function pin(id) {
  const target = await find(id);
  if (!target) return;
  target.pinned = !target.pinned;
  await save(target);
}

/** Puts conversations into a folder; "" takes them out. */
async function move(ids, folder) {
  for (const id of ids) {
    const target = await find(id);
    if (!target) continue;
    target.folder = folderName(folder);
    await save(target);
  }
}

async function rename(id, title) {
  const target = await find(id);
  if (!target) return;
  target.title = title;
  target.named = true;
  await save(target);
  if (id === conversation.id) showConversation();
}

async function removeConversations(ids) {
  const gone = [];
  for (const id of ids) {
    runs.get(id)?.stop();
    const target = await find(id);
    clearTimeout(saves.get(id));
    saves.delete(id);
    try {
      await store.remove(id);
    } catch (error) {
      notices.set("storage", error.message);
      break;
    }
    heads = heads.filter((head) => head.id !== id);
    if (target) gone.push(target);
  }
  if (gone.some(({ id }) => id === conversation.id)) {
    conversation = null;
    openNew();
    if (!conversation) await route();
  }
  showSidebar();
  if (gone.length === 0) return;
  toast(gone.length === 1 ? t`“${gone[0].title || t("Chat")}” was deleted.` : t`${gone.length} chats were deleted.`, {
    label: t("Undo"),
    run: async () => {
      for (const target of gone) await save(target);
      navigate(gone[0].id);
    },
  });
}

// Storage

/** Stores a conversation now. Failures are shown, never swallowed. */
async function save(target) {
  clearTimeout(saves.get(target.id));
  saves.delete(target.id);
  heads = [headOf(target), ...heads.filter((head) => head.id !== target.id)].sort((a, b) => b.updated - a.updated);
  try {
    await store.put(target);
    notices.clear("storage");
  } catch (error) {
    notices.set("storage", error.kind === "full"
      ? t("The browser's storage is full: this chat is not kept. Export chats and delete old ones.")
      : t`${error.message} The chat is not kept.`, { label: t("Your chats"), run: openData });
  }
  showSidebar();
}

function saveSoon(target) {
  if (saves.has(target.id)) return;
  saves.set(target.id, setTimeout(() => save(target), SAVE_EVERY));
}

/** Stores what waits to be stored. */
function flush(target) {
  if (target && saves.has(target.id)) save(target);
}

async function openData() {
  showData(await store.usage(), conversation.messages.length > 0, heads.length > 0);
}

function exportName(title, form = "json") {
  const day = new Date().toISOString().slice(0, 10);
  const words = title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 40);
  return `trit-${words || "chats"}-${day}.${form}`;
}

prepareData({
  exportOne: (form) => {
    const make = { json: () => exportFile([conversation]), md: () => toMarkdown(conversation), html: () => toPage(conversation) }[form];
    download(exportName(conversation.title, form), make());
  },
  exportAll: async () => download(exportName("chats"), exportFile(await store.all(), readPresets())),
  importText: async (text) => {
    let imported;
    try {
      imported = importFile(text);
    } catch (error) {
      toast(error.message);
      return;
    }
    const { conversations, presets } = imported;
    if (presets.length > 0) writePresets(mergePresets(readPresets(), normalizePresets(presets)));
    for (const item of conversations) {
      // A chat that is here already is not overwritten: the imported one gets a name of its own.
      if (heads.some((head) => head.id === item.id)) item.id = newId();
      await save(item);
    }
    if (conversations.length === 0) {
      toast(t("The presets were imported."));
      return;
    }
    toast(conversations.length === 1 ? t("One chat was imported.") : t`${conversations.length} chats were imported.`);
    navigate(conversations[0].id);
  },
  deleteAll: async () => {
    for (const run of runs.values()) run.stop();
    const all = await store.all();
    await store.clear();
    heads = [];
    conversation = null;
    openNew();
    if (!conversation) await route();
    toast(all.length === 1 ? t("One chat was deleted.") : t`${all.length} chats were deleted.`, {
      label: t("Undo"),
      run: async () => {
        for (const item of all) await save(item);
      },
    });
  },
});

// Messages and answers

/** Sends a new message of the user. False if that cannot be now. */
function send(text, files = []) {
  if (runs.has(conversation.id)) return false;
  const fresh = conversation.messages.length === 0;
  const message = addMessage(conversation, conversation.leaf, { role: "user", content: text, ...(files.length > 0 ? { files } : {}) });
  if (fresh) {
    composer.open(conversation.id);
    history.pushState(null, "", `#/c/${conversation.id}`);
  }
  answer(conversation, message.id);
  return true;
}

function edit(message, text) {
  if (text === message.content.trim()) return answer(conversation, message.id);
  runs.get(conversation.id)?.stop();
  const edited = addMessage(conversation, message.parent, { role: "user", content: text, ...(message.files ? { files: message.files } : {}) });
  if (conversation.from === message.id) conversation.from = edited.id;
  answer(conversation, edited.id);
}

function stop() {
  runs.get(conversation.id)?.stop();
}

/** Tries a failed answer again. What had arrived stays as a version of its own. */
function retry(message) {
  const empty = message.content === "" && !message.reasoning && !message.tools?.length;
  if (empty) removeMessage(conversation, message);
  answer(conversation, message.parent);
}

/** Lets the model answer the message with an id. */
function answer(target, parent) {
  runs.get(target.id)?.stop();
  write(target, addMessage(target, parent, { role: "assistant", model: models.chosen, status: "waiting", reasoning: "", tools: [], finish: null, error: null, stats: null }), parent);
}

/** Lets the model write on where an answer ends. */
function goOn(message) {
  runs.get(conversation.id)?.stop();
  Object.assign(message, { status: "waiting", finish: null, error: null });
  write(conversation, message, message.id);
}

/** Tells the model what its calls gave. What it was told before stays as a version. */
function answerTools(message, tools) {
  let told = message;
  if (conversation.messages.some((other) => other.parent === message.id)) {
    const { id, parent, created, ...rest } = message;
    told = addMessage(conversation, parent, rest);
  }
  told.tools = tools;
  answer(conversation, told.id);
}

/** Whether all calls of an answer are of tools that the page has and may run. */
function callsOurs(target, { status, tools }) {
  return status === "done" && tools?.length > 0 && tools.every(({ name }) => target.settings.tools.includes(name));
}

/** Runs the calls of an answer and lets the model write on, until there were too many in a row. */
async function runTools(target, message) {
  const abort = new AbortController();
  const run = { conversation: target, message, wait: null, stop: () => abort.abort() };
  runs.set(target.id, run);
  if (target === conversation) showConversation();
  for (const tool of message.tools) {
    const result = await runTool(tool, abort.signal);
    if (abort.signal.aborted) break;
    tool.result = result;
  }
  if (runs.get(target.id) !== run) return; // something else is done by now
  runs.delete(target.id);
  const path = pathOf(target, message.id);
  const rounds = path.length - 1 - path.findLastIndex(({ role }) => role === "user");
  if (rounds <= MOST_ROUNDS && !abort.signal.aborted) answer(target, message.id);
  else {
    save(target);
    if (target === conversation) showConversation();
  }
}

/** Has the model name a chat after its first answer. Whatever the user wants goes first. */
async function giveTitle(target, message) {
  const model = target.model || models.chosen;
  if (!titlesWanted() || runs.size > 0 || models.isEmbedded(model) || !wantsTitle(target, message, models.contextLength)) return;
  const abort = new AbortController();
  titling = abort;
  const title = await askTitle(api, target, message, model, abort.signal).catch(() => ""); // the first words do as well
  const named = title === "" || abort.signal.aborted ? null : await find(target.id);
  if (!named || named.named) return;
  Object.assign(named, { title, titled: true });
  await save(named);
  if (named === conversation) showTitle();
}

/** Has a message written by the model: the answer to the path that ends with the id last, or the rest of that message. */
function write(target, message, last) {
  titling?.abort();
  const run = new Run(api, target, message, {
    body: async (signal) => {
      if (!models.chosen) await models.refresh(signal);
      message.model = target.model || models.chosen;
      if (target.settings.schema) message.format = "json";
      return requestBody(target, last, message.model, { goesOn: last === message.id });
    },
    askKey: (refused) => enterKey(refused),
    onChange: () => {
      if (target === conversation) thread.changed(message);
      saveSoon(target);
    },
  });
  runs.set(target.id, run);
  save(target);
  if (target === conversation) {
    showConversation();
    thread.toEnd(false);
    if (!layout.touch && !dialogOpen()) composer.focus(); // the button that was pressed may be gone
  }
  run.go().then(() => ended(run));
}

function ended(run) {
  const { conversation: target, message } = run;
  if (runs.get(target.id) === run) runs.delete(target.id);
  if (target.messages.includes(message) && heads.some((head) => head.id === target.id)) {
    save(target);
    if (callsOurs(target, message)) {
      runTools(target, message);
      return;
    }
    giveTitle(target, message);
  }
  if (message.error?.kind === "network") models.lost(message.error);
  else if (message.status === "done") models.reached();
  if (target !== conversation) {
    showSidebar();
    return;
  }
  thread.changed(message, true);
  composer.setRunning(runs.has(target.id));
  showMeter();
  showSidebar();
  if (message.status === "done") announce(t`Answer: ${message.content.slice(0, SPOKEN)}`);
  else if (message.status === "stopped") announce(t("Stopped"));
}

function remove(message) {
  const target = conversation;
  runs.get(target.id)?.stop();
  const undo = removeMessage(target, message);
  keepOrDrop(target);
  showConversation();
  composer.focus();
  toast(message.role === "user" ? t("The message and what followed it were deleted.") : t("The answer was deleted."), {
    label: t("Undo"),
    run: () => {
      undo();
      keepOrDrop(target);
      if (target === conversation) showConversation();
      navigate(target.id);
    },
  });
}

/** A conversation without messages is not worth a place in the list. */
function keepOrDrop(target) {
  if (target.messages.length > 0) {
    save(target);
    return;
  }
  clearTimeout(saves.get(target.id));
  saves.delete(target.id);
  heads = heads.filter((head) => head.id !== target.id);
  store.remove(target.id).catch((error) => notices.set("storage", error.message));
}

/** Asks for the API key, once however many want it. True if there is a new one. */
function enterKey(refused) {
  askingKey ??= askKey(refused ? "refused" : "wanted", api.key).then((answer) => {
    askingKey = null;
    if (!answer?.key) return false;
    api.setKey(answer.key, answer.remember);
    return true;
  });
  return askingKey;
}

// The rest of the page

const THEMES = { auto: ["light", "auto", t("like the system")], light: ["dark", "sun", t("light")], dark: ["auto", "moon", t("dark")] };

function showTheme() {
  const button = byId("theme");
  const [, name, words] = THEMES[document.documentElement.dataset.choice];
  setIcon(button, name);
  button.setAttribute("aria-label", t`Colours: ${words}`);
  button.title = t`Colours: ${words}`;
}

byId("theme").addEventListener("click", () => {
  dispatchEvent(new CustomEvent("trit-theme", { detail: THEMES[document.documentElement.dataset.choice][0] }));
  showTheme();
});
byId("new-chat").addEventListener("click", openNew);
byId("new-chat-small").addEventListener("click", openNew);
byId("open-settings").addEventListener("click", openSettings);
byId("open-models").addEventListener("click", () => manager.open());
byId("get-model").addEventListener("click", () => manager.open());
byId("open-data").addEventListener("click", openData);
byId("open-keys").addEventListener("click", showKeys);
byId("open-key").addEventListener("click", async () => {
  const answer = await askKey("offered", api.key);
  if (!answer) return;
  api.setKey(answer.key, answer.remember);
  models.watch();
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  composer.focus();
});

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented) return;
  const control = event.ctrlKey || event.metaKey;
  if (dialogOpen()) return;
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (control && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") openNew();
  else if (control && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "b") layout.toggle();
  else if (event.key === "Escape") {
    if (runs.has(conversation?.id)) stop();
    else if (!layout.closeOverlay()) return;
  } else if (typing || control || event.altKey) return;
  else if (event.key === "/") composer.focus();
  else if (event.key === "?") showKeys();
  else return;
  event.preventDefault();
});

addEventListener("hashchange", route);
addEventListener("popstate", route);
addEventListener("storage", showTheme);
addEventListener("pagehide", () => {
  for (const run of runs.values()) run.stop(); // what has arrived counts as stopped, not as broken off
  flush(conversation);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) flush(conversation);
});

async function start() {
  prepareDialogs();
  showTheme();
  showModel();
  store = await openStore();
  store.onForeignChange(async ({ id }) => {
    heads = await store.heads();
    if (id === conversation?.id && !runs.has(id)) {
      const changed = await store.get(id);
      if (changed) {
        conversation = changed;
        showConversation();
      }
    }
    showSidebar();
  });
  if (!store.lasting) notices.set("memory", t("This browser lets the page keep nothing: chats are gone when the page is closed."));
  heads = await store.heads();
  models.watch();
  await route();
  document.documentElement.dataset.ready = "true";
  keepPage(api.base);
}

start();
