// The npm package ollama against trit serve, whose address is in TRIT_SERVER.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Ollama } from 'ollama';

const client = new Ollama({ host: process.env.TRIT_SERVER });
const options = { temperature: 0, num_predict: 8 };
const messages = [{ role: 'user', content: 'Who are you?' }];

test('generate, whole and in pieces', async () => {
  const request = { model: 'demo', prompt: 'Once upon a time', raw: true, options };
  const whole = await client.generate(request);
  assert.equal(whole.done_reason, 'length');
  assert.equal(whole.eval_count, 8);
  let text = '';
  for await (const part of await client.generate({ ...request, stream: true })) text += part.response;
  assert.equal(text, whole.response);
});

test('chat, whole and in pieces', async () => {
  const whole = await client.chat({ model: 'demo:latest', messages, options });
  assert.equal(whole.message.role, 'assistant');
  assert.ok(whole.message.content.length > 0);
  let text = '';
  let last;
  for await (const part of await client.chat({ model: 'demo', messages, options, stream: true })) {
    text += part.message.content;
    last = part;
  }
  assert.equal(text, whole.message.content);
  assert.ok(last.done && last.total_duration > 0);
});

test('a schema', async () => {
  const format = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'], additionalProperties: false };
  const answer = await client.chat({ model: 'demo', messages, format, options: { ...options, num_predict: 60 } });
  assert.equal(typeof JSON.parse(answer.message.content).age, 'number');
});

test('tools', async () => {
  const tools = [{ type: 'function', function: { name: 'get_weather', description: 'the weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } }, required: ['city'] } } }];
  // tool_choice is the server's own: the demo model is too small to call by itself.
  const request = { model: 'demo', messages, tools, tool_choice: 'required', options: { ...options, num_predict: 200 } };
  const { message } = await client.chat(request);
  const call = message.tool_calls[0].function;
  assert.equal(call.name, 'get_weather');
  assert.ok(['Paris', 'Rome'].includes(call.arguments.city));
  const next = await client.chat({ model: 'demo', tools, options, messages: [...messages, message, { role: 'tool', tool_name: 'get_weather', content: 'sunny' }] });
  assert.ok(next.done);
});

test('log-probabilities', async () => {
  const answer = await client.generate({ model: 'demo', prompt: 'Once', raw: true, logprobs: true, top_logprobs: 2, options });
  assert.equal(answer.logprobs.length, 8);
  assert.equal(answer.logprobs[0].top_logprobs.length, 2);
});

test('embeddings', async () => {
  const answer = await client.embed({ model: 'demo', input: ['a dog', 'two dogs'] });
  assert.equal(answer.embeddings.length, 2);
  assert.ok(Math.abs(answer.embeddings[0].reduce((sum, x) => sum + x * x, 0) - 1) < 1e-4);
});

test('models', async () => {
  const list = await client.list();
  assert.equal(list.models[0].name, 'demo:latest');
  const shown = await client.show({ model: 'demo' });
  assert.equal(shown.details.format, 'gguf');
  assert.ok(shown.capabilities.includes('completion'));
  const running = await client.ps();
  assert.ok(running.models.some((m) => m.model === 'demo:latest'));
  assert.match((await client.version()).version, /^\d+\.\d+\.\d+/);
});

test('errors', async () => {
  await assert.rejects(client.chat({ model: 'nobody', messages }), (e) => e.status_code === 404 && /not found/.test(e.message));
  await assert.rejects(client.generate({ model: 'demo', prompt: 'x', options: { temperature: -1 } }), (e) => e.status_code === 400);
  await assert.rejects(client.pull({ model: 'bitnet-2b-4t' }), (e) => e.status_code === 403);
});

test('cancellation', async () => {
  const format = { type: 'array', items: { type: 'integer' }, minItems: 150 };
  const stream = await client.generate({ model: 'demo', prompt: 'Count!', format, stream: true });
  await assert.rejects(async () => {
    let seen = 0;
    for await (const _ of stream) if (++seen === 3) stream.abort();
  }, { name: 'AbortError' });
  assert.ok((await client.generate({ model: 'demo', prompt: 'Hi', options })).done);
});
