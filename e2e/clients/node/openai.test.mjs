// The npm package openai against trit serve, whose address is in TRIT_SERVER.
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.env.TRIT_SERVER + '/v1', apiKey: 'none', maxRetries: 0 });

const chat = { model: 'demo', messages: [{ role: 'user', content: 'Tell me about a dog.' }], max_tokens: 16, temperature: 0 };

const schema = {
  type: 'object', additionalProperties: false, required: ['city', 'days'],
  properties: { city: { type: 'string', maxLength: 12 }, days: { type: 'integer', minimum: 1, maximum: 9 } },
};

const tool = { type: 'function', function: { name: 'get_weather', description: 'The weather.', parameters: schema } };

function checkWeather(text) {
  const v = JSON.parse(text);
  assert.equal(typeof v.city, 'string');
  assert.ok(v.days >= 1 && v.days <= 9);
}

test('chat, whole and in pieces', async () => {
  const whole = await client.chat.completions.create(chat);
  const text = whole.choices[0].message.content;
  assert.ok(text.length > 0);
  assert.equal(whole.usage.completion_tokens, 16);
  const stream = await client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } });
  let streamed = '';
  let usage;
  for await (const chunk of stream) {
    streamed += chunk.choices[0]?.delta.content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.equal(streamed, text);
  assert.equal(usage.completion_tokens, 16);
});

test('the helper for streams', async () => {
  const runner = client.chat.completions.stream(chat);
  const text = await runner.finalContent();
  assert.ok(text.length > 0);
});

test('log-probabilities', async () => {
  const out = await client.chat.completions.create({ ...chat, logprobs: true, top_logprobs: 2 });
  const tokens = out.choices[0].logprobs.content;
  assert.equal(tokens.length, 16);
  for (const t of tokens) {
    assert.ok(t.logprob <= 0);
    assert.equal(t.top_logprobs.length, 2);
  }
  const spelled = Buffer.from(tokens.flatMap((t) => t.bytes)).toString();
  assert.equal(spelled.trimStart(), out.choices[0].message.content);
});

test('JSON schema', async () => {
  const out = await client.chat.completions.create({
    ...chat, max_tokens: 60, response_format: { type: 'json_schema', json_schema: { name: 'weather', strict: true, schema } },
  });
  checkWeather(out.choices[0].message.content);
});

test('tools, there and back', async () => {
  const request = { ...chat, max_tokens: 80, tools: [tool], tool_choice: 'required', parallel_tool_calls: false };
  const out = await client.chat.completions.create(request);
  assert.equal(out.choices[0].finish_reason, 'tool_calls');
  const [call] = out.choices[0].message.tool_calls;
  assert.equal(call.function.name, 'get_weather');
  checkWeather(call.function.arguments);
  const streamed = await client.chat.completions.stream(request).finalChatCompletion();
  assert.equal(streamed.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);
  const answer = await client.chat.completions.create({
    ...request, tool_choice: 'none',
    messages: [...chat.messages, out.choices[0].message, { role: 'tool', tool_call_id: call.id, content: '{"sunny": true}' }],
  });
  assert.ok(answer.choices[0].message.content.length > 0);
});

test('the helper that runs tools', async () => {
  const asked = [];
  const runner = client.chat.completions.runTools({
    ...chat, max_tokens: 80, tool_choice: { type: 'function', function: { name: 'get_weather' } }, parallel_tool_calls: false,
    tools: [{ type: 'function', function: { name: 'get_weather', parameters: schema, parse: JSON.parse, function: (v) => { asked.push(v); return 'sunny'; } } }],
  });
  await runner.finalContent().catch(() => {}); // with a forced tool the helper ends after the call
  assert.ok(asked.length > 0);
});

test('completions', async () => {
  const out = await client.completions.create({ model: 'demo', prompt: ['Once upon a time', 'The dog'], max_tokens: 8, temperature: 0, echo: true, logprobs: 1 });
  assert.equal(out.choices.length, 2);
  assert.ok(out.choices[1].text.startsWith('The dog'));
  const l = out.choices[0].logprobs;
  assert.equal(l.tokens.length, l.text_offset.length);
});

test('embeddings, which this client asks for in base64', async () => {
  const out = await client.embeddings.create({ model: 'demo', input: ['The dog sat.', 'Blue.'] });
  const length = Math.hypot(...out.data[0].embedding);
  assert.ok(Math.abs(length - 1) < 1e-3, `the length is ${length}`);
  const floats = await client.embeddings.create({ model: 'demo', input: 'The dog sat.', encoding_format: 'float' });
  assert.deepEqual(floats.data[0].embedding.map(Math.fround), Array.from(out.data[0].embedding));
});

test('models', async () => {
  const names = [];
  for await (const m of client.models.list()) names.push(m.id);
  assert.ok(names.includes('demo'));
  assert.equal((await client.models.retrieve('demo')).id, 'demo');
});

test('responses', async () => {
  const request = { model: 'demo', input: 'Tell me about a dog.', max_output_tokens: 16, temperature: 0 };
  const out = await client.responses.create(request);
  assert.ok(out.output_text.length > 0);
  const stream = await client.responses.create({ ...request, stream: true });
  let streamed = '';
  let last;
  for await (const e of stream) {
    if (e.type === 'response.output_text.delta') streamed += e.delta;
    last = e;
  }
  assert.equal(streamed, out.output_text);
  assert.equal(last.type, 'response.incomplete');
  const helper = await client.responses.stream({ ...request, max_output_tokens: 60, text: { format: { type: 'json_schema', name: 'weather', strict: true, schema } } }).finalResponse();
  checkWeather(helper.output_text);
  const called = await client.responses.create({ ...request, max_output_tokens: 80, tools: [{ type: 'function', name: 'get_weather', parameters: schema, strict: true }], tool_choice: 'required', parallel_tool_calls: false });
  assert.equal(called.output[0].type, 'function_call');
  checkWeather(called.output[0].arguments);
});

test('errors', async () => {
  await assert.rejects(client.chat.completions.create({ ...chat, model: 'nonesuch' }), (e) => e instanceof OpenAI.NotFoundError && e.code === 'model_not_found');
  await assert.rejects(client.chat.completions.create({ ...chat, temperature: 9 }), (e) => e instanceof OpenAI.BadRequestError && e.param === 'temperature');
  await assert.rejects(client.responses.create({ model: 'demo', input: 'x', previous_response_id: 'resp_1' }), (e) => e instanceof OpenAI.BadRequestError && e.param === 'previous_response_id');
});

test('cancellation', async () => {
  const stream = await client.chat.completions.create({ ...chat, max_tokens: 400, ignore_eos: true, stream: true });
  let n = 0;
  for await (const _ of stream) {
    if (++n === 3) break;
  }
  assert.equal(n, 3);
  const after = await client.chat.completions.create(chat);
  assert.ok(after.choices[0].message.content.length > 0);
});
