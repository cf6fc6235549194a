"""Published Python clients against a server of Trit with the demo model, at the address TRIT_SERVER.

    python -m unittest -v test_clients

The demo is far too small to be clever: a call of a tool and structured output are asked for by tool_choice or a
schema, which the server keeps to, and what is compared is their form.
"""

import asyncio
import contextlib
import io
import os
import pathlib
import re
import unittest

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ["LITELLM_TELEMETRY"] = "False"
os.environ["NO_PROXY"] = "*"

from pydantic import BaseModel

SERVER = os.environ["TRIT_SERVER"]
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
}
FUNCTION = {"type": "function", "function": {"name": "get_weather", "description": "the weather", "parameters": WEATHER}}


class City(BaseModel):
    name: str
    inhabitants: int


class OpenAI(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        import openai

        cls.openai = openai
        cls.client = openai.OpenAI(base_url=SERVER + "/v1", api_key="none", max_retries=0)

    def test_chat_and_stream(self):
        args = dict(model="demo", messages=QUESTION, temperature=0)
        whole = self.client.chat.completions.create(**args)
        self.assertEqual(whole.choices[0].message.content, "The capital of France is Paris.")
        text, usage = "", None
        for chunk in self.client.chat.completions.create(**args, stream=True, stream_options={"include_usage": True}):
            text += chunk.choices[0].delta.content or "" if chunk.choices else ""
            usage = chunk.usage or usage
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(usage, whole.usage)

    def test_tools(self):
        args = dict(model="demo", messages=QUESTION, tools=[FUNCTION], tool_choice="required", temperature=0)
        call = self.client.chat.completions.create(**args).choices[0].message.tool_calls[0]
        self.assertIn(call.function.arguments.replace(" ", ""), ['{"city":"Paris"}', '{"city":"Rome"}'])
        arguments = ""
        for chunk in self.client.chat.completions.create(**args, stream=True):
            for delta in chunk.choices[0].delta.tool_calls or []:
                arguments += delta.function.arguments or ""
        self.assertEqual(arguments.replace(" ", ""), call.function.arguments.replace(" ", ""))
        back = QUESTION + [
            {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ]
        answer = self.client.chat.completions.create(model="demo", messages=back, tools=[FUNCTION], max_tokens=8)
        self.assertEqual(answer.choices[0].message.role, "assistant")

    def test_structured(self):
        args = dict(model="demo", messages=QUESTION, temperature=0)
        parsed = self.client.chat.completions.parse(**args, response_format=City).choices[0].message.parsed
        self.assertIsInstance(parsed, City)
        answer = self.client.responses.parse(model="demo", input="Paris?", text_format=City, temperature=0)
        self.assertIsInstance(answer.output_parsed, City)

    def test_responses(self):
        answer = self.client.responses.create(model="demo", input=QUESTION, temperature=0)
        self.assertEqual(answer.output_text, "The capital of France is Paris.")
        with self.client.responses.stream(model="demo", input=QUESTION, temperature=0) as stream:
            kinds = [event.type for event in stream]
            self.assertEqual(stream.get_final_response().output_text, answer.output_text)
        self.assertEqual((kinds[0], kinds[-1]), ("response.created", "response.completed"))

    def test_completions_embeddings_models(self):
        c = self.client.completions.create(model="demo", prompt="Once upon a time", max_tokens=4, echo=True, logprobs=1)
        self.assertTrue(c.choices[0].text.startswith("Once upon a time"))
        e = self.client.embeddings.create(model="demo", input=["a dog", "two dogs"])
        self.assertEqual([len(d.embedding) > 16 for d in e.data], [True, True])
        self.assertIn("demo", [m.id for m in self.client.models.list()])

    def test_errors_and_abort(self):
        with self.assertRaises(self.openai.NotFoundError):
            self.client.chat.completions.create(model="nobody", messages=QUESTION)
        with self.assertRaises(self.openai.BadRequestError) as caught:
            self.client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "word " * 4000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        stream = self.client.chat.completions.create(model="demo", messages=QUESTION, stream=True)
        next(iter(stream))
        stream.close()
        with self.assertRaises(self.openai.APITimeoutError):
            self.client.completions.create(model="demo", prompt="a", max_tokens=400, n=16, timeout=0.02,
                                           extra_body={"ignore_eos": True})

    def test_async_together(self):
        async def ask():
            async with self.openai.AsyncOpenAI(base_url=SERVER + "/v1", api_key="none") as client:
                args = dict(model="demo", messages=QUESTION, temperature=0)
                return await asyncio.gather(*(client.chat.completions.create(**args) for _ in range(12)))

        answers = {a.choices[0].message.content for a in asyncio.run(ask())}
        self.assertEqual(answers, {"The capital of France is Paris."})


class Anthropic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        import anthropic

        cls.anthropic = anthropic
        cls.client = anthropic.Anthropic(base_url=SERVER, api_key="none", max_retries=0)
        cls.args = dict(model="demo", max_tokens=40, messages=QUESTION, system="Be brief.")

    def test_messages_and_stream(self):
        greedy = {"temperature": 0}  # which the newest client has no argument for
        whole = self.client.messages.create(**self.args, extra_body=greedy)
        self.assertEqual((whole.content[0].type, whole.stop_reason), ("text", "end_turn"))
        with self.client.messages.stream(**self.args, extra_body=greedy) as stream:
            text = "".join(stream.text_stream)
            self.assertEqual(stream.get_final_message().usage.output_tokens, whole.usage.output_tokens)
        self.assertEqual(text, whole.content[0].text)

    def test_tools(self):
        tools = [{"name": "get_weather", "description": "the weather", "input_schema": WEATHER}]
        args = self.args | dict(max_tokens=200)
        whole = self.client.messages.create(**args, tools=tools, tool_choice={"type": "any"})
        call = next(b for b in whole.content if b.type == "tool_use")
        self.assertIn(call.input["city"], ["Paris", "Rome"])
        back = QUESTION + [
            {"role": "assistant", "content": [b.model_dump() for b in whole.content]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
        ]
        self.assertTrue(self.client.messages.create(**args | {"messages": back}, tools=tools).id)

    def test_count_models_errors(self):
        counted = self.client.messages.count_tokens(model="demo", messages=QUESTION)
        self.assertGreater(counted.input_tokens, 3)
        self.assertIn("demo", [m.id for m in self.client.models.list()])
        with self.assertRaises(self.anthropic.NotFoundError):
            self.client.messages.create(**self.args | {"model": "nobody"})
        with self.assertRaisesRegex(self.anthropic.BadRequestError, "prompt is too long"):
            self.client.messages.create(**self.args | {"messages": [{"role": "user", "content": "word " * 4000}]})


class Ollama(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        import ollama

        cls.ollama = ollama
        cls.client = ollama.Client(host=SERVER)
        cls.options = {"temperature": 0, "num_predict": 60, "num_ctx": 1 << 20}

    def test_chat_stream_structured(self):
        whole = self.client.chat("demo", QUESTION, options=self.options)
        self.assertEqual(whole.message.content, "The capital of France is Paris.")
        pieces = list(self.client.chat("demo", QUESTION, options=self.options, stream=True))
        self.assertEqual("".join(p.message.content for p in pieces), whole.message.content)
        self.assertTrue(pieces[-1].done)
        city = self.client.chat("demo", QUESTION, options=self.options, format=City.model_json_schema())
        City.model_validate_json(city.message.content)

    def test_tools_from_functions(self):
        def get_weather(city: str) -> str:
            """The weather.

            Args:
              city: where
            """
            return "sunny in " + city

        answer = self.client.chat("demo", QUESTION, tools=[get_weather], options=self.options)
        self.assertEqual(answer.message.role, "assistant")

    def test_generate_embed_models_errors(self):
        answer = self.client.generate("demo", "Once upon a time", raw=True, options={"num_predict": 5, "temperature": 0})
        self.assertEqual((answer.eval_count, answer.done_reason), (5, "length"))
        self.assertEqual(len(self.client.embed("demo", ["a", "b"]).embeddings), 2)
        self.assertIn("demo:latest", [m.model for m in self.client.list().models])
        self.assertIn("completion", self.client.show("demo").capabilities)
        self.assertIn("demo:latest", [m.model for m in self.client.ps().models])
        with self.assertRaises(self.ollama.ResponseError) as caught:
            self.client.chat("nobody", QUESTION)
        self.assertEqual(caught.exception.status_code, 404)


class LangChain(unittest.TestCase):
    def models(self):
        from langchain_ollama import ChatOllama
        from langchain_openai import ChatOpenAI

        yield ChatOpenAI(model="demo", base_url=SERVER + "/v1", api_key="none", temperature=0, max_tokens=60)
        yield ChatOpenAI(model="demo", base_url=SERVER + "/v1", api_key="none", temperature=0, use_responses_api=True)
        yield ChatOllama(model="demo", base_url=SERVER, temperature=0, num_predict=200, num_ctx=8192)

    def test_chat_and_stream(self):
        for model in self.models():
            whole = model.invoke("What is the capital of France?")
            self.assertEqual(whole.text, "The capital of France is Paris.")
            self.assertGreater(whole.usage_metadata["output_tokens"], 3)
            text = "".join(chunk.text for chunk in model.stream("What is the capital of France?"))
            self.assertEqual(text, whole.text)

    def test_tools(self):
        from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

        for model in list(self.models())[:2]:
            call = model.bind_tools([FUNCTION], tool_choice="get_weather").invoke("Rome?").tool_calls[0]
            self.assertEqual(call["name"], "get_weather")
        for model in self.models():
            history = [HumanMessage("Rome?"), AIMessage("", tool_calls=[call]), ToolMessage("sunny", tool_call_id=call["id"])]
            self.assertEqual(model.bind_tools([FUNCTION]).invoke(history).type, "ai")

    def test_structured(self):
        for model in self.models():
            city = model.with_structured_output(City, method="json_schema").invoke("Paris?")
            self.assertIsInstance(city, City)

    def test_embeddings(self):
        from langchain_ollama import OllamaEmbeddings
        from langchain_openai import OpenAIEmbeddings

        same = [
            OpenAIEmbeddings(model="demo", base_url=SERVER + "/v1", api_key="none", check_embedding_ctx_length=False),
            OllamaEmbeddings(model="demo", base_url=SERVER),
        ]
        a, b = [e.embed_query("a dog") for e in same]
        for x, y in zip(a, b, strict=True):
            self.assertAlmostEqual(x, y, 5)


class LlamaIndex(unittest.TestCase):
    def test_openai_like(self):
        from llama_index.core.llms import ChatMessage
        from llama_index.llms.openai_like import OpenAILike

        llm = OpenAILike(model="demo", api_base=SERVER + "/v1", api_key="none", is_chat_model=True, temperature=0,
                         is_function_calling_model=True, context_window=512, max_tokens=60)
        question = [ChatMessage(role="user", content="What is the capital of France?")]
        whole = llm.chat(question).message.content
        self.assertEqual(whole, "The capital of France is Paris.")
        self.assertEqual("".join(c.delta or "" for c in llm.stream_chat(question)), whole)
        plain = OpenAILike(model="demo", api_base=SERVER + "/v1", api_key="none", is_chat_model=False, max_tokens=5)
        self.assertTrue(plain.complete("Once upon a time").text)


class LiteLLM(unittest.TestCase):
    def test_providers(self):
        import litellm

        litellm.suppress_debug_info = True
        for model, base in [("openai/demo", "/v1"), ("ollama_chat/demo", ""), ("ollama/demo", ""), ("anthropic/demo", ""),
                            ("hosted_vllm/demo", "/v1")]:
            args = dict(model=model, api_base=SERVER + base, api_key="none", messages=QUESTION, temperature=0, max_tokens=40)
            with self.subTest(model):
                whole = litellm.completion(**args).choices[0].message.content
                self.assertTrue(whole)
                pieces = [c.choices[0].delta.content or "" for c in litellm.completion(**args, stream=True)]
                self.assertEqual("".join(pieces), whole)
        with self.assertRaises(litellm.ContextWindowExceededError):
            litellm.completion(model="openai/demo", api_base=SERVER + "/v1", api_key="none", num_retries=0,
                               messages=[{"role": "user", "content": "word " * 4000}])
        e = litellm.embedding(model="openai/demo", api_base=SERVER + "/v1", api_key="none", input=["a dog"])
        self.assertGreater(len(e.data[0]["embedding"]), 16)


class Structured(unittest.TestCase):
    def test_instructor(self):
        import instructor
        import openai

        client = openai.OpenAI(base_url=SERVER + "/v1", api_key="none")
        for mode in [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA]:
            with self.subTest(mode):
                got = instructor.from_openai(client, mode=mode).chat.completions.create(
                    model="demo", messages=QUESTION, response_model=City, max_retries=1, temperature=0)
                self.assertIsInstance(got, City)

    def test_pydantic_ai(self):
        from pydantic_ai import Agent, NativeOutput
        from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
        from pydantic_ai.providers.openai import OpenAIProvider

        provider = OpenAIProvider(base_url=SERVER + "/v1", api_key="none")
        for kind in [OpenAIChatModel, OpenAIResponsesModel]:
            with self.subTest(kind.__name__):
                model = kind("demo", provider=provider)
                text = Agent(model, model_settings={"temperature": 0}).run_sync("What is the capital of France?").output
                self.assertEqual(text, "The capital of France is Paris.")
                for output in [City, NativeOutput(City)]:
                    city = Agent(model, output_type=output, model_settings={"temperature": 0}).run_sync("Paris?").output
                    self.assertIsInstance(city, City)


class Recipes(unittest.TestCase):
    def test_as_printed(self):
        """The Python of docs/clients.md does what it says, at this server's address."""
        page = (pathlib.Path(__file__).parents[3] / "docs" / "clients.md").read_text()
        blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
        self.assertGreaterEqual(len(blocks), 5)
        for block in blocks:
            with self.subTest(block.splitlines()[0]):
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    exec(block.replace("http://127.0.0.1:8080", SERVER), {})
                self.assertRegex(printed.getvalue(), r"^The capital of (France is Paris|Italy is Rome)\.\n$")


if __name__ == "__main__":
    unittest.main()
