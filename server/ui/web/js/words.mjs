// What the page says about numbers and failures.

import { language, t } from "./language.mjs";

const REMEDIES = {
  network: [t("The server does not answer"), t("Is it still running? Your message is kept.")],
  broken: [t("The connection broke off"), t("What had arrived is kept.")],
  auth: [t("The server wants an API key"), t("Your message is kept.")],
  forbidden: [t("The server refused"), ""],
  busy: [t("The server is too busy"), ""],
  loading: [t("The model is still loading"), ""],
  context: [t("The conversation is too long for this model"), ""],
  request: [t("The server did not accept the request"), ""],
  server: [t("The server failed"), ""],
};

/** Title and text for {kind, message}. What the server said itself comes last. */
export function describe({ kind, message }) {
  const [title, text] = REMEDIES[kind] ?? REMEDIES.server;
  const own = kind === "network" || kind === "broken" ? "" : message;
  return { title, text: [text, own].filter(Boolean).join(" ") };
}

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });

export function formatNumber(value) {
  return whole.format(value);
}

/** 2,400,000,000 as 2.4 billion. */
export function formatCount(value) {
  if (value >= 1e9) return t`${tenth.format(value / 1e9)} billion`;
  return value >= 1e6 ? t`${tenth.format(value / 1e6)} million` : whole.format(value);
}

export function formatPercent(share) {
  return `${(share > 0.1 ? whole : tenth).format(100 * share)} %`;
}

export function formatSpeed(tokensPerSecond) {
  return t`${(tokensPerSecond < 20 ? tenth : whole).format(tokensPerSecond)} tokens/s`;
}

export function formatDuration(ms) {
  if (ms < 1000) return `${whole.format(ms)} ms`;
  if (ms < 10_000) return `${tenth.format(ms / 1000)} s`;
  if (ms < 60_000) return `${whole.format(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

export function formatBytes(bytes) {
  if (bytes < 1000) return t`${whole.format(bytes)} bytes`;
  if (bytes < 1e6) return `${whole.format(bytes / 1e3)} kB`;
  if (bytes < 1e9) return `${tenth.format(bytes / 1e6)} MB`;
  return `${tenth.format(bytes / 1e9)} GB`;
}

/** The heading of the list of chats that a time belongs under. */
export function dayGroup(time, now = new Date()) {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const day = 86_400_000;
  if (time >= midnight) return t("Today");
  if (time >= midnight - day) return t("Yesterday");
  if (time >= midnight - 7 * day) return t("Last 7 days");
  if (time >= midnight - 30 * day) return t("Last 30 days");
  return new Date(time).toLocaleDateString(language, { year: "numeric", month: "long" });
}
