import json
import logging
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from unflaw._errors import ModelCallError, SettingsError
from unflaw.models import CallCache, Sampling, cached, serve
from unflaw.models._openai import EXHAUSTED_IN_A_ROW, REFUSED_IN_A_ROW, Gate, OpenAIGenerator

KEY = "sk-this-is-very-secret"
SAMPLING = Sampling(seed=100, temperature=0.5, max_tokens=9)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("UNFLAW_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


def reply(body):
    """Answer a request body with the last turn and the seed, so that order and seeds can be checked."""
    text = f"{body['messages'][-1]['content']}/{body['seed']}"
    message = {"role": "assistant", "content": text}
    used = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return 200, {}, {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "usage": used,
                     "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}  # fmt: skip


@contextmanager
def stub(rule, greeting=(200, {}, {"object": "list", "data": []})):
    """Serve `rule(number of the call, request body) -> (status, headers, body)` on a free port."""
    seen, lock = [], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.answer(*greeting)

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                seen.append((self.headers, body))
                number = len(seen)
            self.answer(*rule(number, body))

        def answer(self, status, headers, body):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def quick(url, **settings):
    return OpenAIGenerator("m", url, **{"backoff_s": 0.01, "timeout_s": 10.0, **settings})


def fail(status, headers=None, message="no"):
    return status, headers or {}, {"error": {"message": message, "type": "t", "code": None}}


PROMPTS = [f"p{i}" for i in range(20)]
WANTED = [f"p{i}/{100 + i}" for i in range(20)]


def test_answers_in_order_with_a_seed_per_row_and_tokens_counted():
    def late_first(number, body):
        time.sleep(0.05 if body["messages"][-1]["content"] == "p0" else 0)
        return reply(body)

    with stub(late_first) as (url, seen):
        generator, told = quick(url), {}
        assert generator.generate(PROMPTS, SAMPLING, on_result=told.__setitem__) == WANTED
        assert told == dict(enumerate(WANTED)) and list(told)[0] != 0
        assert generator.generate(["a", "b"], SAMPLING, seeds=[7, 3]) == ["a/7", "b/3"]
        assert generator.generate([], SAMPLING) == []
        assert (generator.usage.prompt_tokens, generator.usage.completion_tokens) == (66, 44)
        assert generator.usage.seconds > 0
        assert len(seen) == 22


def test_the_request_holds_what_was_asked_for():
    schema = {"type": "object"}
    with stub(lambda number, body: reply(body)) as (url, seen):
        quick(url).generate(
            [[{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]],
            Sampling(seed=1, temperature=0.5, top_p=0.9, max_tokens=7, stop=("x",), json_schema=schema),
        )
    headers, body = seen[0]
    assert body["response_format"]["json_schema"]["schema"] == schema
    del body["response_format"]
    assert body == {
        "model": "m", "seed": 1, "temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "stop": ["x"],
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
    }  # fmt: skip
    assert headers["Authorization"] == "Bearer none"


@pytest.mark.parametrize(
    "trouble",
    [
        fail(429), fail(500), fail(503), fail(408),
        (200, {}, b"{not json"), (200, {}, {"choices": []}), (200, {"Content-Type": "text/html"}, b"<p>busy</p>"),
    ],
    ids=["429", "500", "503", "408", "cut json", "no choices", "html"],
)  # fmt: skip
def test_passing_trouble_is_outlasted(trouble):
    with stub(lambda number, body: trouble if number <= 3 else reply(body)) as (url, seen):
        assert quick(url).generate(PROMPTS, SAMPLING) == WANTED
        assert len(seen) == 23


def test_a_hanging_call_times_out_and_is_sent_again():
    def hang_once(number, body):
        time.sleep(0.6 if number == 1 else 0)
        return reply(body)

    with stub(hang_once) as (url, seen):
        assert quick(url, timeout_s=0.3).generate(["p0"], SAMPLING) == ["p0/100"]
        assert len(seen) == 2


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_lasting_trouble_is_told_at_once(status):
    with stub(lambda number, body: fail(status, message="model 'm' is unknown")) as (url, seen):
        with pytest.raises(ModelCallError, match=r"openai:m@http.*after 1 try.*model 'm' is unknown") as error:
            quick(url, n_parallel=1).generate(PROMPTS, SAMPLING)
        assert len(seen) == 1
        assert "failed row 0 " in str(error.value) and "19 other rows have no answer either" in str(error.value)


@pytest.mark.parametrize("n_parallel", [1, 4])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_refused_rows_are_named_once_the_others_are_answered(status, n_parallel):
    def picky(number, body):
        return (
            fail(status, message="filtered") if body["messages"][-1]["content"] in ("p3", "p4", "p17") else reply(body)
        )

    with stub(picky) as (url, seen):
        generator, told = quick(url, n_parallel=n_parallel), {}
        with pytest.raises(ModelCallError, match=r"failed rows 3, 4, 17 after 1 try: .*filtered.* other 17 have one"):
            generator.generate(PROMPTS, SAMPLING, on_result=told.__setitem__)
        assert told == {i: answer for i, answer in enumerate(WANTED) if i not in (3, 4, 17)}
        assert len(seen) == 20
        assert generator.usage.completion_tokens == 34 and generator.usage.seconds > 0


def test_calls_under_way_reach_the_caller_when_one_shows_that_all_must_fail():
    """Four calls at once: one is refused for good while the other three are still being answered."""

    def closes(number, body):
        if body["messages"][-1]["content"] == "p0":
            return fail(401)
        time.sleep(0.5)
        return reply(body)

    with stub(closes) as (url, seen):
        told = {}
        with pytest.raises(ModelCallError, match="failed row 0 "):
            quick(url, n_parallel=4).generate(PROMPTS, SAMPLING, on_result=told.__setitem__)
        assert 3 <= len(told) == len(seen) - 1 < 8
        assert all(answer == WANTED[i] for i, answer in told.items())


def test_a_server_that_goes_away_ends_the_call():
    with stub(lambda number, body: reply(body)) as (url, _):
        generator = quick(url, n_parallel=1, max_retries=1)
        assert generator.generate(["p0"], SAMPLING) == ["p0/100"]
    start = time.monotonic()
    with pytest.raises(ModelCallError, match="failed row 0 after 2 tries: Connection error.*19 other rows"):
        generator.generate(PROMPTS, SAMPLING)
    assert time.monotonic() - start < 5


def test_failure_upon_failure_ends_the_call_but_not_a_failure_here_and_there():
    always = [fail(500, message="out of memory")]
    with stub(lambda number, body: always[0]) as (url, seen):
        with pytest.raises(ModelCallError, match=r"failed rows 0, 1, 2.* after 2 tries: .*1\d other rows"):
            quick(url, n_parallel=1, max_retries=1).generate(PROMPTS, SAMPLING)
        assert 0 <= len(seen) - 2 * EXHAUSTED_IN_A_ROW <= 2  # one more row may have begun
    odd = lambda number, body: always[0] if int(body["messages"][-1]["content"][1:]) % 2 else reply(body)  # noqa: E731
    with stub(odd) as (url, seen):
        with pytest.raises(ModelCallError, match="failed rows 1, 3, 5, 7, .* after 2 tries: .*The other 10 have one"):
            quick(url, n_parallel=1, max_retries=1).generate(PROMPTS, SAMPLING)
        assert len(seen) == 30


def test_a_request_that_is_refused_for_every_row_is_not_sent_for_ever():
    with stub(lambda number, body: fail(400, message="unknown parameter")) as (url, seen):
        with pytest.raises(ModelCallError, match=r"rows 0, 1, .*, 19, and 8\d more rows after 1 try.* other rows"):
            quick(url, n_parallel=1).generate(["p"] * (REFUSED_IN_A_ROW + 200), SAMPLING)
        assert 0 <= len(seen) - REFUSED_IN_A_ROW < 10  # a few more rows may have begun


def without_text(body, reason, **message):
    status, headers, full = reply(body)
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": None, **message}}
    return status, headers, {**full, "choices": [choice]}


@pytest.mark.parametrize(
    ("reason", "message", "says"),
    [
        ("content_filter", {}, "finish_reason 'content_filter'"),
        ("stop", {"refusal": "I would rather not"}, "finish_reason 'stop': I would rather not"),
        ("length", {"reasoning_content": "let me think"}, "finish_reason 'length'"),
    ],
)
def test_no_text_is_no_answer(reason, message, says, tmp_path):
    def silent(number, body):
        return without_text(body, reason, **message) if body["messages"][-1]["content"] == "p1" else reply(body)

    with stub(silent) as (url, seen), CallCache(tmp_path / "c.sqlite") as cache:
        generator = quick(url)
        with pytest.raises(ModelCallError, match=f"failed row 1 after 1 try: its reply holds no text, {says}"):
            cached(generator, cache, name="m").generate(PROMPTS[:3], SAMPLING)
        assert len(cache) == 2 and len(seen) == 3
        assert generator.usage.completion_tokens == 6, "what a lost row cost is counted too"


def test_an_empty_text_is_an_answer():
    with stub(lambda number, body: without_text(body, "stop", content="")) as (url, _):
        assert quick(url).generate(["p0"], SAMPLING) == [""]


def test_after_all_retries_the_error_names_server_row_and_reason():
    with stub(lambda number, body: fail(500, message="out of memory")) as (url, seen):
        with pytest.raises(ModelCallError, match=r"@http://127.*row 0 after 3 tries.*out of memory"):
            quick(url, max_retries=2).generate(["a"], SAMPLING)
        assert len(seen) == 3


def test_nobody_there_is_one_message_at_once():
    with stub(lambda number, body: reply(body)) as (url, _):
        pass  # the port is free again
    start = time.monotonic()
    with pytest.raises(ModelCallError, match="no server answers at http://127.0.0.1"):
        quick(url).generate(PROMPTS * 50, SAMPLING)
    assert time.monotonic() - start < 5


def test_a_refused_key_is_one_message_at_once():
    with stub(lambda number, body: reply(body), greeting=fail(401, message="who are you?")) as (url, seen):
        with pytest.raises(ModelCallError, match=r"refuses the key.*who are you.*UNFLAW_API_KEY"):
            quick(url).generate(PROMPTS, SAMPLING)
        assert not seen


def test_a_server_that_cannot_list_its_models_will_do():
    with stub(lambda number, body: reply(body), greeting=(404, {}, b"nothing here")) as (url, _):
        assert quick(url).generate(["p0"], SAMPLING) == ["p0/100"]


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_honoured(date):
    wait = formatdate(time.time() + 1.9, usegmt=True) if date else "0.4"
    with stub(lambda number, body: fail(429, {"Retry-After": wait}) if number == 1 else reply(body)) as (url, _):
        start = time.monotonic()
        assert quick(url).generate(["p0"], SAMPLING) == ["p0/100"]
        assert 0.3 < time.monotonic() - start < 8


def test_a_wait_beyond_patience_is_an_error_instead():
    with stub(lambda number, body: fail(429, {"Retry-After": "86400"}, "quota used up")) as (url, seen):
        with pytest.raises(ModelCallError, match="quota used up"):
            quick(url).generate(["a"], SAMPLING)
        assert len(seen) == 1


def test_calls_under_way_stay_within_the_bound_and_shrink_under_overload(monkeypatch):
    inside, most, lock = 0, 0, threading.Lock()

    def crowded(number, body):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
            too_many = inside > 3
        time.sleep(0.02)
        with lock:
            inside -= 1
        return fail(429) if too_many else reply(body)

    with stub(crowded) as (url, seen):
        generator = quick(url, n_parallel=6, max_retries=20)
        widths, narrow = [], generator._gate.narrow
        monkeypatch.setattr(generator._gate, "narrow", lambda *a: (narrow(*a), widths.append(generator._gate.width)))
        assert generator.generate(PROMPTS, SAMPLING) == WANTED
        assert 3 < most <= 6 and min(widths) <= 3 + 1  # halved, though a success in the same burst may have widened it
        assert len(widths) == len(seen) - len(PROMPTS)  # every refusal was told to the gate, none lost


def test_the_gate_halves_once_per_overload_and_grows_by_one_per_round():
    gate, stop = Gate(8), threading.Event()
    with gate.place(stop) as first, gate.place(stop) as second:
        pass
    gate.narrow(first, 0.0)
    gate.narrow(second, 0.0)  # the same burst
    assert gate.width == 4
    for _ in range(4):
        gate.widen()
    assert 4.8 < gate.width < 5
    for _ in range(100):
        gate.widen()
    assert gate.width == 8


def test_an_error_keeps_what_had_arrived_and_a_rerun_asks_only_the_rest(tmp_path):
    broken = True

    def breaks(number, body):
        return fail(400) if broken and number > 12 else reply(body)

    with stub(breaks) as (url, seen), CallCache(tmp_path / "c.sqlite") as cache:
        generator = cached(quick(url, n_parallel=1), cache, name="m")
        with pytest.raises(ModelCallError):
            generator.generate(PROMPTS, SAMPLING)
        kept = len(cache)
        assert kept == 12
        broken, before = False, len(seen)
        assert generator.generate(PROMPTS, SAMPLING) == WANTED
        assert len(seen) - before == 20 - kept


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "UNFLAW_API_KEY"])
def test_the_key_goes_to_the_server_and_nowhere_else(variable, monkeypatch, caplog, tmp_path):
    monkeypatch.setenv(variable, KEY)
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "calls.sqlite"
    with stub(lambda number, body: reply(body) if number == 1 else fail(400, message=f"bad key {KEY}")) as (url, seen):
        generator = quick(url)
        with CallCache(path) as cache:
            cached(generator, cache, name=f"openai:m@{url}").generate(["a"], SAMPLING)
        with pytest.raises(ModelCallError) as error:
            generator.generate(["b"], SAMPLING)
    assert seen[0][0]["Authorization"] == f"Bearer {KEY}"
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    told = [repr(generator), str(error.value), repr(error.value.__cause__), str(vars(generator)), caplog.text]
    assert KEY.encode() not in stored
    assert not any(KEY in text for text in told)
    assert "bad key ***" in str(error.value)


def test_unflaws_own_variable_wins(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "general")
    monkeypatch.setenv("UNFLAW_API_KEY", "special")
    with stub(lambda number, body: reply(body)) as (url, seen):
        quick(url).generate(["a"], SAMPLING)
    assert seen[0][0]["Authorization"] == "Bearer special"


def test_settings_are_checked_and_secrets_in_the_address_refused():
    with pytest.raises(SettingsError) as error:
        OpenAIGenerator("m", f"http://me:{KEY}@host/v1", n_parallel=0, timeout_s=0, max_retries=-1)
    assert len(error.value.problems) == 4 and KEY not in str(error.value)


@pytest.mark.slow
def test_a_real_server_answers_the_same_as_the_embedded_model(tmp_path):
    schema = {
        "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"],
        "additionalProperties": False,
    }  # fmt: skip
    sampling = Sampling(max_tokens=24, json_schema=schema)
    prompts = [f"Name the capital of {country}." for country in ("France", "Italy", "Japan")]
    with serve("smollm2") as url, CallCache(tmp_path / "c.sqlite") as cache:
        generator = cached(OpenAIGenerator("smollm2", url, n_parallel=2), cache, name="smollm2")
        answers = generator.generate(prompts, sampling)
        assert all(list(json.loads(answer)) == ["city"] for answer in answers)
        assert "Paris" in answers[0]
        spent = generator.usage.completion_tokens
        assert generator.generate(prompts, sampling) == answers and generator.usage.completion_tokens == spent > 0
