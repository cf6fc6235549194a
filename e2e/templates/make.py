"""Renders chat templates with Python's jinja2, set up as Hugging Face's transformers does it.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python make.py OUT [FOLDER...]

Run in the root of the repository. Every conversation of chat/testdata/conversations.json
is rendered by the templates of package chat and by those in the given folders:

OUT/expected.json     what the templates of package chat make of them; a copy is in chat/testdata
OUT/expressions.json  what the templates of jinja/testdata/expressions.json render to; its copy
OUT/renders.json      the sources of all templates and what they make of the conversations

Beside what a template makes of a conversation stands what it makes of it in the ways
in which Trit differs on purpose, where that is something else.
"""

import copy
import datetime
import functools
import itertools
import json
import pathlib
import re
import sys

import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2024, 7, 26, 14, 5, 9)


class Generation(jinja2.ext.Extension):
    """{% generation %}, which marks what a model is trained on and renders as its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_out"), [], [], body).set_lineno(line)

    def _out(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False, default=None):
    return json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys, default=default)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def environment(engine=()):
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    if "lists for generators" in engine:
        env.filters["tojson"] = functools.partial(tojson, default=list)
    if "safe is plain" in engine:
        env.filters["safe"] = str
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


# The ways in which Trit differs on purpose, by name: those of package jinja by what in a template they are about,
ENGINE = {"lists for generators": r"\|\s*(map|select|reject)", "safe is plain": r"\|\s*safe\b"}


# and those of package chat by what they make of a message.
def system_for_developer(m):
    if m["role"] == "developer":
        m["role"] = "system"


def text_for_none(m):
    if m.get("content", "") is None:
        m["content"] = ""


def none_for_text(m):
    if m.get("content") == "" and m.get("tool_calls"):
        m["content"] = None


def lines_for_parts(m):
    if isinstance(m.get("content"), list):
        m["content"] = "\n".join(part["text"] for part in m["content"])


def thinking(m):
    if "reasoning_content" in m:
        m["thinking"] = m.pop("reasoning_content")


def reasoning(m):
    if "reasoning_content" in m:
        m["reasoning"] = m.pop("reasoning_content")


def text_for_arguments(m):
    for call in m.get("tool_calls", []):
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)


CHAT = {
    "system for developer": system_for_developer,
    "text for none": text_for_none,
    "none for no text": none_for_text,
    "lines for parts": lines_for_parts,
    "reasoning as thinking": thinking,
    "reasoning as reasoning": reasoning,
    "text for arguments": text_for_arguments,
}


def subsets(names):
    """Yields lists of names, short ones first."""
    for n in range(len(names) + 1):
        yield from itertools.combinations(names, n)


@functools.cache
def compiled(engine, source):
    return environments[engine].from_string(source)


environments = {engine: environment(engine) for engine in subsets(ENGINE)}


def render(engine, source, variables):
    """Returns the text as "want", or why there is none as "error": what the template says, else the error's kind."""
    try:
        return {"want": compiled(engine, source).render(**variables)}
    except jinja2.exceptions.TemplateError as e:
        return {"error": str(e) if type(e) is jinja2.exceptions.TemplateError else type(e).__name__}
    except Exception as e:
        return {"error": type(e).__name__}


def renders(source, c):
    """Returns what a template makes of a conversation, and what it makes of it in other ways, under their names."""
    ways, seen = [], []
    for engine in subsets([name for name, text in ENGINE.items() if re.search(text, source)]):
        for changes in subsets(CHAT):
            messages = copy.deepcopy(c["messages"])
            before = None
            for name in changes:
                before = copy.deepcopy(messages)
                for m in messages:
                    CHAT[name](m)
                if messages == before:
                    break
            if messages == before or (engine, messages) in seen:
                continue
            seen.append((engine, messages))
            made = render(engine, source, variables(c, messages))
            if all(made != {k: way[k] for k in made} for way in ways if made.keys() <= way.keys()):
                ways.append({"ways": list(engine + changes), **made})
    plain = ways.pop(0)
    del plain["ways"]
    return {**plain, "others": ways} if ways else plain


def variables(c, messages):
    return {
        "messages": messages,
        "tools": c.get("tools"),
        "documents": None,
        "add_generation_prompt": c["add_generation_prompt"],
        "bos_token": c["bos_token"],
        "eos_token": c["eos_token"],
        **c.get("extra", {}),
    }


def lines(entries):
    """Is JSON with one line for each entry, so that changes can be read."""
    return "[\n" + ",\n".join(json.dumps(e, ensure_ascii=False) for e in entries) + "\n]\n"


def main(out, folders):
    out = pathlib.Path(out)
    out.mkdir(parents=True)
    messages = [
        {"role": "system", "content": "be <b>"},
        {"role": "user", "content": "h\u00e9'llo"},
        {"role": "assistant", "content": "ok"},
    ]
    cases = json.loads(pathlib.Path("jinja/testdata/expressions.json").read_text("utf-8"))
    (out / "expressions.json").write_text(lines(
        {"template": c["template"], **render((), c["template"], {"messages": messages, "n": None})}
        for c in cases), "utf-8")

    conversations = json.loads(pathlib.Path("chat/testdata/conversations.json").read_text("utf-8"))
    sources, entries = {}, []
    chat = ["chat/templates", "chat/testdata/templates"]
    for folder in chat + list(folders):
        found = sorted(pathlib.Path(folder).glob("*.jinja"))
        assert found, folder
        for path in found:
            # Folders of others are named by their last part.
            name = f"{folder.removeprefix('chat/') if folder in chat else path.parent.name}/{path.name}"
            assert name not in sources, name
            with open(path, encoding="utf-8", newline="") as f:
                sources[name] = f.read()
            entries += [
                {"template": name, "conversation": c["name"], **renders(sources[name], c)} for c in conversations]
        if folder == chat[-1]:
            (out / "expected.json").write_text(lines(entries), "utf-8")
    made = {"templates": sources, "conversations": conversations, "renders": entries}
    (out / "renders.json").write_text(json.dumps(made, ensure_ascii=False), "utf-8")
    print(f"{len(sources)} templates, {len(conversations)} conversations")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
