// Titles that the model gives to chats: asked for after the first answer, below the
// conversation that the server has just read, so that little is left to read.

import { pathOf, requestBody, shortened } from "./conversation.mjs";

const OFF = "trit.titles";
const LONGEST = 40; // tokens
const ROOM = 100; // tokens of the context that asking takes, at most
const ASK = "Give this conversation a title of two to six words in its language. Answer with nothing but the title.";

/** Whether the user wants titles of the model. */
export function titlesWanted() {
  try {
    return localStorage.getItem(OFF) !== "off";
  } catch {
    return true;
  }
}

export function wantTitles(wanted) {
  try {
    if (wanted) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "off");
  } catch {
    // The choice cannot be kept, so titles stay as they are.
  }
}

/** Whether a chat is to get a title after an answer. limit is the length of the context in tokens, or null. */
export function wantsTitle(conversation, message, limit) {
  if (conversation.named || conversation.titled || message.status !== "done" || message.content === "" || message.tools?.length) return false;
  if (pathOf(conversation, message.id).filter(({ role }) => role === "user").length !== 1) return false;
  const { prompt, completion } = message.stats ?? {};
  return limit === null || prompt + completion + ROOM <= limit;
}

/** Asks the model for a title. "" if it gives none. */
export async function askTitle(api, conversation, message, model, signal) {
  const { messages, tools, chat_template_kwargs } = requestBody(conversation, message.id, model);
  const body = { model, tools, chat_template_kwargs, messages: [...messages, { role: "user", content: ASK }], max_tokens: LONGEST, temperature: 0, reasoning_effort: "none" };
  const answer = await api.send("POST", "v1/chat/completions", body, signal);
  return cleanTitle(answer?.choices?.[0]?.message?.content);
}

/** The title in what a model answered: without thoughts, marks and quotes. */
export function cleanTitle(text) {
  const lines = typeof text === "string" ? text.replace(/<think>[^]*?(<\/think>|$)/g, "").split("\n") : [];
  const line = lines.find((candidate) => /[\p{L}\p{N}]/u.test(candidate)) ?? "";
  const bare = line.replace(/^[\s#*_]*titl?el?\s*[:：]/i, "").replace(/^[\s#*_"'`“”„‘’«»「-]+|[\s*_"'`“”‘’«»」.。]+$/gu, "");
  return shortened(bare.replace(/\s+/g, " "));
}
