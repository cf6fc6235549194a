// The npm package @anthropic-ai/sdk against trit serve, whose address is in
// TRIT_SERVER.
import assert from 'node:assert/strict';
import test from 'node:test';
import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({ baseURL: process.env.TRIT_SERVER, apiKey: 'any', maxRetries: 0 });
const request = { model: 'demo', max_tokens: 8, temperature: 0, system: 'Be brief.', messages: [{ role: 'user', content: 'Who are you?' }] };
const tools = [{ name: 'get_weather', description: 'the weather of a city',
  input_schema: { type: 'object', properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } }, required: ['city'] } }];

test('messages, whole and in pieces', async () => {
  const whole = await client.messages.create(request);
  assert.equal(whole.content[0].type, 'text');
  assert.equal(whole.stop_reason, 'max_tokens');
  assert.equal(whole.usage.output_tokens, 8);
  const streamed = await client.messages.stream(request).finalMessage();
  assert.equal(streamed.content[0].text, whole.content[0].text);
  assert.equal(streamed.stop_reason, 'max_tokens');
  assert.deepEqual(streamed.usage.output_tokens, 8);
  let text = '';
  for await (const event of await client.messages.create({ ...request, stream: true })) {
    if (event.type === 'content_block_delta') text += event.delta.text;
  }
  assert.equal(text, whole.content[0].text);
  const count = await client.messages.countTokens({ model: 'demo', system: request.system, messages: request.messages });
  assert.equal(count.input_tokens, whole.usage.input_tokens);
});

test('the beginning of the answer', async () => {
  const answer = await client.messages.create({ ...request, messages: [{ role: 'user', content: 'Tell a story.' }, { role: 'assistant', content: 'Once upon a' }] });
  assert.ok(answer.content[0].text.startsWith(' time'));
});

test('stop sequences', async () => {
  const { text } = (await client.messages.create(request)).content[0];
  const word = text.trim().split(/\s+/)[1];
  const answer = await client.messages.create({ ...request, stop_sequences: [word] });
  assert.equal(answer.stop_reason, 'stop_sequence');
  assert.equal(answer.stop_sequence, word);
});

test('tools', async () => {
  const final = await client.messages.stream({ ...request, max_tokens: 200, tools, tool_choice: { type: 'any' } }).finalMessage();
  const uses = final.content.filter((b) => b.type === 'tool_use');
  assert.equal(final.stop_reason, 'tool_use');
  assert.equal(uses[0].name, 'get_weather');
  assert.ok(['Paris', 'Rome'].includes(uses[0].input.city));
  await client.messages.create({ ...request, tools, messages: [...request.messages, { role: 'assistant', content: final.content },
    { role: 'user', content: uses.map((b) => ({ type: 'tool_result', tool_use_id: b.id, content: 'sunny' })) }] });
});

test('a schema', async () => {
  const schema = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'], additionalProperties: false };
  const answer = await client.messages.create({ ...request, max_tokens: 60, output_config: { format: { type: 'json_schema', schema } } });
  assert.equal(typeof JSON.parse(answer.content[0].text).age, 'number');
});

test('errors', async () => {
  await assert.rejects(client.messages.create({ ...request, model: 'nobody' }),
    (e) => e instanceof Anthropic.NotFoundError && e.error.error.type === 'not_found_error' && e.requestID.length > 0);
  await assert.rejects(client.messages.create({ ...request, max_tokens: -1 }), Anthropic.BadRequestError);
  // A model without thinking answers without it.
  const m = await client.messages.create({ ...request, thinking: { type: 'enabled', budget_tokens: 1024 } });
  assert.equal(m.usage.output_tokens, 8);
});

test('cancellation', async () => {
  const schema = { type: 'array', items: { type: 'integer' }, minItems: 150 };
  const stream = await client.messages.create({ ...request, max_tokens: 450, stream: true, output_config: { format: { type: 'json_schema', schema } } });
  let seen = 0;
  for await (const _ of stream) if (++seen === 6) stream.controller.abort();
  assert.ok(seen < 100);
  assert.equal((await client.messages.create(request)).type, 'message');
});
