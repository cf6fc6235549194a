// The small dialogs: the API key, the chats' import and export, the keys.

import { h, byId } from "./dom.mjs";
import { t } from "./language.mjs";
import { formatBytes } from "./words.mjs";

const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
const CONTROL = MAC ? "⌘" : "Ctrl";

const KEYS = [
  [["Enter"], t("Send")],
  [["Shift", "Enter"], t("New line")],
  [["Esc"], t("Stop the answer")],
  [["↑"], t("Edit the last message (in an empty field)")],
  [[CONTROL, "K"], t("New chat")],
  [["/"], t("Go to the message field")],
  [[CONTROL, "B"], t("Show or hide the list of chats")],
  [["F2"], t("Rename the chosen chat in the list")],
  [["P"], t("Pin the chosen chat in the list, or take it off")],
  [["M"], t("Move the chosen chat in the list to a folder")],
  [["Del"], t("Delete the chosen chat in the list")],
  [["?"], t("This list")],
];

/** Makes close buttons and clicks beside a dialog close it. */
export function prepareDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
    });
    dialog.addEventListener("close", () => document.body.append(byId("toasts")));
  }
  byId("new-chat-keys").textContent = MAC ? "⌘K" : "Ctrl K";
  for (const [keys, what] of KEYS) {
    const term = h("dt");
    keys.forEach((key) => term.append(h("kbd", null, key)));
    byId("keys-list").append(term, h("dd", null, what));
  }
}

/** Whether the keys of the page should rest: a dialog is open. */
export function dialogOpen() {
  return document.querySelector("dialog[open]") !== null;
}

export function showKeys() {
  byId("keys").showModal();
}

const KEY_TEXTS = {
  wanted: t("This server wants an API key. It is sent to this server only."),
  refused: t("The server refused this key."),
  offered: t("The key is sent to this server only. An empty field forgets it."),
};

/** Asks for the API key; why is "wanted", "refused" or "offered". Resolves to {key, remember}, or null if the user cancels. */
export function askKey(why, current) {
  const dialog = byId("key");
  const form = byId("key-form");
  const input = byId("key-input");
  byId("key-text").textContent = KEY_TEXTS[why];
  byId("key-text").classList.toggle("problem", why === "refused");
  input.value = current;
  if (!dialog.open) dialog.showModal();
  input.select();
  return new Promise((resolve) => {
    let answer = null;
    const submit = (event) => {
      event.preventDefault();
      answer = { key: input.value.trim(), remember: byId("key-remember").checked };
      dialog.close();
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener("close", () => {
      form.removeEventListener("submit", submit);
      input.value = "";
      resolve(answer);
    }, { once: true });
  });
}

const EXPORTS = [["export-one", "json"], ["export-md", "md"], ["export-page", "html"]];
const TYPES = { json: "application/json", md: "text/markdown", html: "text/html" };

/** The dialog about the chats as data. actions: {exportOne(form), exportAll, importText, deleteAll}; form is "json", "md" or "html". */
export function prepareData(actions) {
  const dialog = byId("data");
  const file = byId("import-file");
  for (const [id, form] of EXPORTS) {
    byId(id).addEventListener("click", () => {
      dialog.close();
      actions.exportOne(form);
    });
  }
  byId("export-all").addEventListener("click", () => {
    dialog.close();
    actions.exportAll();
  });
  byId("delete-all").addEventListener("click", () => {
    dialog.close();
    actions.deleteAll();
  });
  byId("import").addEventListener("click", () => file.click());
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    dialog.close();
    actions.importText(await chosen.text());
  });
}

export function showData(usage, hasCurrent, hasAny) {
  byId("data-usage").textContent = usage ? t`They use ${formatBytes(usage.used)} of about ${formatBytes(usage.limit)}.` : "";
  for (const [id] of EXPORTS) byId(id).disabled = !hasCurrent;
  byId("export-all").disabled = !hasAny;
  byId("delete-all").disabled = !hasAny;
  byId("data").showModal();
}

/** Saves text as a file whose name says what it is. */
export function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: TYPES[name.split(".").pop()] }));
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
