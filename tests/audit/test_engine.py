"""Engines: the same answers from one process, from several, and from a Ray, whoever dies on the way."""

import os
import signal
import sys
from pathlib import Path

import cloudpickle
import pytest

from unflaw._errors import DataError, EngineError, SettingsError
from unflaw.audit import LocalEngine, RayEngine
from unflaw.audit._engine import open_engine

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a worker cannot import a test


def square(n):
    return n * n


def refuse(n):
    raise DataError(f"`n` must not be {n}")


class DieOnce:
    """Kills the worker that takes 3, the first time it is taken."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __call__(self, n):
        if n == 3 and not Path(self.mark).exists():
            Path(self.mark).write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return n


class DieAlways:
    def __call__(self, n):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def ray_engine():
    import ray

    yield RayEngine(workers=2)
    ray.shutdown()


@pytest.mark.parametrize("workers", [1, 2])
def test_every_thing_is_done_once(workers):
    assert sorted(LocalEngine(workers).run(square, range(7))) == [n * n for n in range(7)]
    assert list(LocalEngine(workers).run(square, [])) == []


@pytest.mark.slow
def test_on_a_ray_too(ray_engine):
    assert sorted(ray_engine.run(square, range(7))) == [n * n for n in range(7)]
    assert list(ray_engine.run(square, [])) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_what_unflaw_refuses_arrives_as_it_is(workers):
    with pytest.raises(DataError, match="`n` must not be"):
        list(LocalEngine(workers).run(refuse, [1, 2]))


@pytest.mark.slow
def test_what_unflaw_refuses_arrives_as_it_is_from_a_ray(ray_engine):
    with pytest.raises(DataError, match="`n` must not be"):
        list(ray_engine.run(refuse, [1, 2]))


def test_the_work_of_a_worker_that_dies_is_done_by_another(tmp_path):
    assert sorted(LocalEngine(2).run(DieOnce(tmp_path / "died"), range(6))) == list(range(6))
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_the_work_of_a_ray_worker_that_dies_is_done_by_another(ray_engine, tmp_path):
    assert sorted(ray_engine.run(DieOnce(tmp_path / "died"), range(6))) == list(range(6))
    assert (tmp_path / "died").exists()


def test_a_task_that_kills_every_worker_is_given_up():
    with pytest.raises(EngineError, match="3 times a worker died at 2 of 2 tasks"):
        list(LocalEngine(2).run(DieAlways(), [1, 2]))


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "no.such.host:10001"])
def test_a_ray_that_does_not_answer_is_named(address):
    import ray

    ray.shutdown()
    with pytest.raises(EngineError, match=f"no Ray answers at `address` '{address}'.*ray start --head"):
        list(RayEngine(address).run(square, [1]))


def test_no_ray_on_this_machine_is_told(monkeypatch):
    import ray

    ray.shutdown()
    monkeypatch.setattr(ray, "init", lambda **_: (_ for _ in ()).throw(ConnectionError("none runs")))  # another may
    with pytest.raises(EngineError, match="no Ray answers at `address` 'auto': none runs"):
        list(RayEngine("auto").run(square, [1]))


def test_engines_by_name():
    assert open_engine("local", 100) == LocalEngine(1) and open_engine("local", 10**6) == LocalEngine()
    assert open_engine("ray", 100) == RayEngine()
    with pytest.raises(SettingsError, match="Did you mean 'local'"):
        open_engine("lokal", 1)
    with pytest.raises(SettingsError, match="`workers` must be at least 1"):
        LocalEngine(0)
