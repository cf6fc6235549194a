import assert from "node:assert/strict";
import test from "node:test";
import * as c from "../../../server/ui/web/js/conversation.mjs";

function chat() {
  const conversation = c.newConversation(null, "m");
  const ask = (parent, content) => c.addMessage(conversation, parent, { role: "user", content });
  const reply = (parent, content) => c.addMessage(conversation, parent, { role: "assistant", content, status: "done" });
  const q1 = ask(null, "one?");
  const a1 = reply(q1.id, "one.");
  const q2 = ask(a1.id, "two?");
  const a2 = reply(q2.id, "two.");
  return { conversation, ask, reply, q1, a1, q2, a2 };
}

const texts = (conversation) => c.pathOf(conversation).map((message) => message.content);

test("versions branch and come back", () => {
  const { conversation, ask, reply, a1, q2 } = chat();
  const edited = ask(a1.id, "zwei?");
  reply(edited.id, "zwei.");
  assert.deepEqual(texts(conversation), ["one?", "one.", "zwei?", "zwei."]);
  assert.deepEqual(c.versionsOf(conversation)(edited).map((m) => m.content), ["two?", "zwei?"]);
  c.showVersion(conversation, q2);
  assert.deepEqual(texts(conversation), ["one?", "one.", "two?", "two."]);
});

test("removal takes what follows, and can be undone", () => {
  const { conversation, ask, reply, a1, q1, q2 } = chat();
  const edited = ask(a1.id, "zwei?");
  reply(edited.id, "zwei.");
  const undo = c.removeMessage(conversation, edited);
  assert.deepEqual(texts(conversation), ["one?", "one.", "two?", "two."]);
  undo();
  assert.deepEqual(texts(conversation), ["one?", "one.", "zwei?", "zwei."]);
  c.removeMessage(conversation, q2);
  assert.deepEqual(texts(conversation), ["one?", "one.", "zwei?", "zwei."]);
  c.removeMessage(conversation, q1);
  assert.deepEqual(conversation.messages, []);
  assert.equal(conversation.leaf, null);
});

test("the request", () => {
  const { conversation, q1, q2, a2 } = chat();
  assert.deepEqual(c.requestBody(conversation, q2.id, "m"), {
    model: "m", stream: true, stream_options: { include_usage: true }, return_progress: true,
    messages: [{ role: "user", content: "one?" }, { role: "assistant", content: "one." }, { role: "user", content: "two?" }],
  });
  conversation.from = q2.id;
  conversation.settings = c.normalizeSettings({ system: "S", temperature: 0, top_k: 3, stop: ["a"], extra: '{"temperature": 1, "logprobs": true}', tools: ["unknown"] });
  assert.deepEqual(c.requestBody(conversation, a2.id, "m"), {
    temperature: 0, top_k: 3, stop: ["a"], logprobs: true, model: "m", stream: true, stream_options: { include_usage: true }, return_progress: true,
    messages: [{ role: "system", content: "S" }, { role: "user", content: "two?" }, { role: "assistant", content: "two." }],
  });
  conversation.from = null;
  assert.equal(c.shorterStart(conversation, q2.id), q2.id);
  assert.equal(c.shorterStart(conversation, q1.id), null);
});

test("settings take only what is allowed", () => {
  const settings = c.normalizeSettings({ temperature: 3, top_p: "1", top_k: 1.5, min_p: 0.1, seed: -1, max_tokens: 0, stop: ["", 4, "x"], extra: '{"stream": false}', system: 5 });
  assert.deepEqual(settings, { ...c.defaultSettings(), min_p: 0.1, stop: ["x"] });
  assert.equal(c.extraProblem(""), null);
  assert.match(c.extraProblem("{"), /not JSON/);
  assert.match(c.extraProblem("[1]"), /object/);
  assert.match(c.extraProblem('{"messages": []}'), /messages/);
});

test("export and import", () => {
  const { conversation } = chat();
  const { conversations: [back] } = c.importFile(c.exportFile([conversation]));
  assert.deepEqual(texts(back), texts(conversation));
  assert.equal(back.id, conversation.id);
  assert.equal(back.title, "one?");
  Object.assign(conversation, { folder: "  a\n b ", title: "Named", titled: true });
  const { conversations: [other], presets } = c.importFile(c.exportFile([conversation], [{ name: "p", settings: {} }]));
  assert.deepEqual([other.folder, other.title, other.titled, other.named], ["a b", "Named", true, false]);
  assert.deepEqual(presets, [{ name: "p", settings: {} }]);
});

test("import repairs what it can and refuses the rest", () => {
  const { conversations: [tangled] } = c.importFile(JSON.stringify({ messages: [
    { id: "a", parent: "b", role: "user", content: "1" },
    { id: "b", parent: "a", role: "assistant", content: "2", status: "streaming", tools: "x", stats: { speed: "fast", prompt: 3 } },
    { id: "b", parent: "b", role: "user", content: "3" },
    { role: "robot", content: "4" }, { role: "user" }, null, 7,
  ], leaf: "zz", id: "<b>", title: 4, named: true }));
  assert.deepEqual(texts(tangled), ["1", "2", "3"]);
  assert.match(tangled.id, /^[0-9a-f]{24}$/);
  assert.equal(tangled.messages[1].status, "stopped");
  assert.deepEqual(tangled.messages[1].tools, []);
  assert.equal(tangled.messages[1].stats.prompt, 3);
  assert.equal(tangled.messages[1].stats.speed, null);
  for (const text of ["", "null", "[]", "{}", '"a"', "[1]", '{"messages": []}', '{"format": "trit-chats", "version": 2, "conversations": []}']) {
    assert.throws(() => c.importFile(text), Error, text);
  }
});

test("a path never runs in a circle", () => {
  const conversation = c.newConversation(null, "");
  conversation.messages = [{ id: "a", parent: "b", role: "user", content: "" }, { id: "b", parent: "a", role: "user", content: "" }];
  conversation.leaf = "a";
  assert.ok(c.pathOf(conversation).length <= 3);
});
