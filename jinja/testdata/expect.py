"""Writes expressions.json: templates and what Python's jinja2 renders them to.

The environment is the one of transformers' chat template renderer. Run with the templates on
standard input, one JSON list of strings; needs jinja2 3.1.

    python3 expect.py < templates.json > expressions.json
"""

import datetime
import json
import sys

import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_out"), [], [], body).set_lineno(line)

    def _out(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


env = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
)
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = lambda f: datetime.datetime(2024, 7, 26, 14, 5, 9).strftime(f)

variables = {
    "messages": [
        {"role": "system", "content": "be <b>"},
        {"role": "user", "content": "h\u00e9'llo"},
        {"role": "assistant", "content": "ok"},
    ],
    "n": None,
}

out = []
for template in json.load(sys.stdin):
    try:
        out.append({"template": template, "want": env.from_string(template).render(**variables)})
    except Exception as e:
        out.append({"template": template, "error": f"{type(e).__name__}: {e}"})
json.dump(out, sys.stdout, ensure_ascii=False, indent=1)
print()
