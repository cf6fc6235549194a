// Settings under a name: system prompt, tools, sampling, form of answers. They stay
// in this browser and go along with exports.

import { normalizeSettings } from "./conversation.mjs";
import { t } from "./language.mjs";
import { toast } from "./toast.mjs";

const PRESETS = "trit.presets";
const LONGEST_NAME = 60;

/** Makes sound presets {name, settings} of whatever came from a file or the browser's storage. */
export function normalizePresets(raw) {
  const presets = new Map();
  for (const item of Array.isArray(raw) ? raw : []) {
    const name = typeof item?.name === "string" ? item.name.trim().slice(0, LONGEST_NAME) : "";
    if (name !== "") presets.set(name, { name, settings: normalizeSettings(item.settings) });
  }
  return [...presets.values()].sort((a, b) => a.name.localeCompare(b.name));
}

/** The presets of this browser. */
export function readPresets() {
  try {
    return normalizePresets(JSON.parse(localStorage.getItem(PRESETS) ?? "[]"));
  } catch {
    return [];
  }
}

/** Keeps the presets; false, with a word, where the browser does not. */
export function writePresets(presets) {
  try {
    localStorage.setItem(PRESETS, JSON.stringify(normalizePresets(presets)));
    return true;
  } catch {
    toast(t("The browser's storage is full: the presets could not be kept."));
    return false;
  }
}

/** Presets with others from a file. Of two with one name that differ, the new one gets a number. */
export function mergePresets(presets, others) {
  const all = [...presets];
  for (const { name, settings } of others) {
    const same = JSON.stringify(settings);
    let free = name;
    for (let n = 2; ; n++) {
      const taken = all.find((preset) => preset.name === free);
      if (!taken) {
        all.push({ name: free, settings });
        break;
      }
      if (JSON.stringify(taken.settings) === same) break;
      const number = ` (${n})`;
      free = name.slice(0, LONGEST_NAME - number.length) + number;
    }
  }
  return all;
}
