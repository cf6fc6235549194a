"""A pytest plugin for the tests of llama.cpp's server: the model is another one than theirs, so its words and the
numbers of its tokens are not looked at, nor whether the server calls itself a build of llama.cpp. Writes what becomes
of each test to the file that TRIT_OUTCOMES names."""

import json
import os
import sys

sys.path.insert(0, os.getcwd())

COUNTS = {
    "cache_n", "cached_tokens", "completion_tokens", "input_tokens", "n_prompt_tokens", "n_restored", "n_saved",
    "output_tokens", "predicted_n", "prompt_n", "prompt_tokens", "tokens_evaluated", "tokens_predicted", "total_tokens",
}


class Count(int):
    """A number of tokens: equal to any other."""

    def __eq__(self, other):
        return isinstance(other, (int, float))

    def __ne__(self, other):
        return not self == other

    __hash__ = int.__hash__


def blur(value):
    """Puts Counts in the place of the numbers of tokens in a JSON value."""
    if isinstance(value, dict):
        value = {k: Count(v) if k in COUNTS and isinstance(v, int) else blur(v) for k, v in value.items()}
        if isinstance(value.get("system_fingerprint"), str):
            value["system_fingerprint"] = "b" + value["system_fingerprint"]
        return value
    if isinstance(value, list):
        return [blur(v) for v in value]
    return value


def pytest_configure(config):
    import utils

    request, stream = utils.ServerProcess.make_request, utils.ServerProcess.make_stream_request

    def make_request(self, *args, **kwargs):
        result = request(self, *args, **kwargs)
        result.body = blur(result.body)
        return result

    def make_stream_request(self, *args, **kwargs):
        for piece in stream(self, *args, **kwargs):
            yield blur(piece)

    utils.ServerProcess.make_request = make_request
    utils.ServerProcess.make_stream_request = make_stream_request
    utils.match_regex = lambda *_: True
    utils.ServerPreset.load_all = staticmethod(lambda: None)  # which downloads their models


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed" and report.when == "setup":
        crash = getattr(report.longrepr, "reprcrash", None)
        message = crash.message if crash else str(report.longrepr or "")
        with open(os.environ["TRIT_OUTCOMES"], "a") as f:
            outcome = {"ID": report.nodeid, "Outcome": report.outcome, "Message": message[:300]}
            print(json.dumps(outcome), file=f)
