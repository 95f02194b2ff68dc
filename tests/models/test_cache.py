import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from unflaw._errors import DataError, ModelCallError, SettingsError
from unflaw.models import CallCache, Sampling, cached, call
from unflaw.models._cache import RUN_LENGTH, RowsError


class Plain:
    """Speaks the two-argument form: row i is drawn with sampling.seed + i."""

    def __init__(self):
        self.calls = []

    def generate(self, prompts, sampling):
        self.calls.append([(p, sampling.seed + i) for i, p in enumerate(prompts)])
        return [f"{p}/{sampling.seed + i}" for i, p in enumerate(prompts)]


class Fluent:
    """Speaks `seeds` and `on_result`, answers back to front, and can die on the way."""

    def __init__(self, dies_after=10**9):
        self.asked, self.dies_after = [], dies_after

    def generate(self, prompts, sampling, *, seeds=None, on_result=None):
        answers = {}
        for i in reversed(range(len(prompts))):
            if len(self.asked) == self.dies_after:
                raise ModelCallError("the server is gone")
            self.asked.append((prompts[i], seeds[i]))
            answers[i] = f"{prompts[i]}/{seeds[i]}"
            if on_result:
                on_result(i, answers[i])
        return [answers[i] for i in range(len(prompts))]


PROMPTS = [f"p{i}" for i in range(40)]
WANTED = [f"p{i}/{5 + i}" for i in range(40)]
SAMPLING = Sampling(seed=5, temperature=1.0)


@pytest.fixture
def cache(tmp_path):
    with CallCache(tmp_path / "calls.sqlite") as opened:
        yield opened


@pytest.mark.parametrize("kind", [Plain, Fluent])
def test_both_dialects_get_one_seed_per_row(kind):
    assert call(kind(), PROMPTS, SAMPLING) == WANTED
    assert call(kind(), ["a", "b", "c"], SAMPLING, seeds=[9, 10, 3]) == ["a/9", "b/10", "c/3"]
    assert call(kind(), [], SAMPLING) == []


def test_plain_generators_are_called_in_runs_of_consecutive_seeds():
    generator = Plain()
    call(generator, PROMPTS, SAMPLING)
    assert [len(c) for c in generator.calls] == [RUN_LENGTH, RUN_LENGTH, 40 - 2 * RUN_LENGTH]


def test_wrong_numbers_are_refused():
    with pytest.raises(SettingsError, match="2 seeds for 3 prompts"):
        call(Fluent(), ["a", "b", "c"], SAMPLING, seeds=[1, 2])

    class Short:
        def generate(self, prompts, sampling):
            return []

    with pytest.raises(ModelCallError, match="got 0 for 1"):
        call(Short(), ["a"], SAMPLING)


@pytest.mark.parametrize("kind", [Plain, Fluent])
def test_nothing_is_asked_twice(cache, kind):
    generator = kind()
    wrapped = cached(generator, cache, name="m")
    assert wrapped.generate(PROMPTS, SAMPLING) == WANTED
    first = len(generator.calls if kind is Plain else generator.asked)
    assert wrapped.generate(PROMPTS, SAMPLING) == WANTED
    assert len(generator.calls if kind is Plain else generator.asked) == first
    assert (cache.hits, cache.misses, len(cache)) == (40, 40, 40)


@pytest.mark.parametrize("kind", [Plain, Fluent])
def test_holes_keep_the_seed_of_their_place(cache, kind):
    cached(kind(), cache, name="m").generate(PROMPTS[::2], SAMPLING, seeds=range(5, 45, 2))
    assert cached(kind(), cache, name="m").generate(PROMPTS, SAMPLING) == WANTED
    assert (cache.hits, cache.misses) == (20, 40)


def test_equal_calls_in_one_go_are_sent_once_and_all_reported(cache):
    generator, told = Fluent(), []
    answers = cached(generator, cache, name="m").generate(
        ["a", "a", "b"], SAMPLING, seeds=[1, 1, 1], on_result=lambda i, answer: told.append((i, answer))
    )
    assert answers == ["a/1", "a/1", "b/1"] and len(generator.asked) == 2
    assert sorted(told) == [(0, "a/1"), (1, "a/1"), (2, "b/1")]


@pytest.mark.parametrize(
    "change",
    [{"temperature": 0.5}, {"top_p": 0.5}, {"max_tokens": 3}, {"stop": ("x",)}, {"json_schema": {}}, {"seed": 6}],
)
def test_any_change_of_settings_is_a_new_call(cache, change):
    generator = Fluent()
    wrapped = cached(generator, cache, name="m")
    wrapped.generate(["a"], SAMPLING)
    wrapped.generate(["a"], replace(SAMPLING, **change))
    assert len(generator.asked) == 2


def test_model_and_prompt_are_part_of_the_key_and_a_string_is_a_user_turn(cache):
    generator = Fluent()
    cached(generator, cache, name="m").generate(["a"], SAMPLING)
    cached(generator, cache, name="m").generate([[{"role": "user", "content": "a"}]], SAMPLING)
    assert len(generator.asked) == 1
    cached(generator, cache, name="other").generate(["a"], SAMPLING)
    cached(generator, cache, name="m").generate([[{"role": "system", "content": "a"}]], SAMPLING)
    assert len(generator.asked) == 3


def test_a_failing_generator_loses_no_answer(cache):
    with pytest.raises(ModelCallError, match="gone"):
        cached(Fluent(dies_after=7), cache, name="m").generate(PROMPTS, SAMPLING)
    after = Fluent()
    assert cached(after, cache, name="m").generate(PROMPTS, SAMPLING) == WANTED
    assert len(after.asked) == 33


KILLED = """
    import os, signal, sys
    from unflaw.models import CallCache, Sampling, cached

    class Slow:
        def generate(self, prompts, sampling, *, seeds=None, on_result=None):
            for i, prompt in enumerate(prompts):
                if i == 7:
                    os.kill(os.getpid(), signal.SIGKILL)
                on_result(i, f"{prompt}/{seeds[i]}")

    cached(Slow(), CallCache(sys.argv[1]), name="m").generate(
        [f"p{i}" for i in range(40)], Sampling(seed=5, temperature=1.0)
    )
"""


def test_kill_dash_nine_costs_no_finished_row(tmp_path):
    path = tmp_path / "calls.sqlite"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    with CallCache(path) as cache:
        after = Fluent()
        assert cached(after, cache, name="m").generate(PROMPTS, SAMPLING) == WANTED
        assert len(after.asked) == 33


WRITER = """
    import sys
    from unflaw.models import CallCache
    with CallCache(sys.argv[1]) as cache:
        for i in range(200):
            cache.put(f"{sys.argv[2]}{i}", "m", "x")
            cache.put(f"shared{i}", "m", "x")
"""


def test_two_processes_may_write_at_once(tmp_path):
    path = str(tmp_path / "calls.sqlite")
    both = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), path, name]) for name in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    with CallCache(path) as cache:
        assert len(cache) == 600


def test_threads_may_share_a_cache(cache):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: cache.put(str(i), "m", str(i)), range(100)))
    assert cache.get([str(i) for i in range(2000)]) == {str(i): str(i) for i in range(100)}


def test_a_lone_surrogate_does_not_stop_the_run(cache):
    cache.put("k", "m", "broken \ud800 text")
    assert cache.get(["k"]) == {"k": "broken ? text"}


@pytest.mark.parametrize("damage", ["text", "cut", "newer", "folder"])
def test_a_file_that_is_no_cache_is_refused_in_words(tmp_path, damage):
    path = tmp_path / "calls.sqlite"
    if damage == "text":
        path.write_text("I am not a database, and long enough to be read as one. " * 20)
    elif damage == "newer":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    elif damage == "cut":
        with CallCache(path) as cache:
            for i in range(2000):
                cache.put(str(i), "m", "x" * 100)
        os.truncate(path, path.stat().st_size // 2)
    else:
        path = tmp_path / "absent" / "calls.sqlite"
    with pytest.raises(DataError, match="move"), CallCache(path) as cache:
        cache.get([str(i) for i in range(2000)])


def test_usage_is_that_of_the_generator_behind(cache):
    generator = Fluent()
    assert cached(generator, cache, name="m").usage is None
    generator.usage = "spent"
    assert cached(generator, cache, name="m").usage == "spent"


class Refusing:
    """Answers all but some prompts."""

    def __init__(self, *refused):
        self.refused = refused

    def generate(self, prompts, sampling, *, seeds=None, on_result=None):
        for i, prompt in enumerate(prompts):
            if prompt not in self.refused:
                on_result(i, f"{prompt}/{seeds[i]}")
        lost = {i: "after 1 try: no" for i, prompt in enumerate(prompts) if prompt in self.refused}
        if lost:
            raise RowsError("m", lost)
        return [f"{prompt}/{seed}" for prompt, seed in zip(prompts, seeds, strict=True)]


def test_rows_that_fail_are_named_by_their_place_in_the_whole_call(cache):
    """Rows 0, 1 and 3 are known already: what the generator counts as row 1 of two is row 4 of the call."""
    cached(Refusing(), cache, name="m").generate(["a", "b"], SAMPLING, seeds=[0, 1])
    generator = cached(Refusing("d"), cache, name="m")
    with pytest.raises(RowsError, match="^`m` failed row 4 after 1 try: no$"):
        generator.generate(["a", "b", "c", "b", "d"], SAMPLING, seeds=[0, 1, 2, 1, 4])
    assert len(cache) == 3


def test_an_error_of_rows_groups_them_by_reason_and_names_the_first():
    error = RowsError("m", {7: "is long", 2: "is odd", 1: "is long"}, ". The other 9 have one")
    assert str(error) == "`m` failed 3 rows: rows 1, 7 is long; row 2 is odd. The other 9 have one"
    many = RowsError("m", dict.fromkeys(range(23), "is odd"))
    assert str(many).endswith("17, 18, 19, and 3 more rows is odd") and len(many.reasons) == 23
    assert isinstance(error, ModelCallError)
