"""Any server that speaks the OpenAI chat protocol: vLLM, Ollama, llama.cpp, or a hosted one.

Calls run side by side, as many as the server can take: the number starts at the user's bound, is halved
when the server says it is overloaded, and grows by one for each round of successes. The key comes from the
environment, and is never part of a message, a `repr`, a cache key or a log line.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from unflaw._errors import ModelCallError, SettingsError
from unflaw.models._cache import OnResult, row_seeds
from unflaw.models._protocols import Prompt, Sampling, as_messages
from unflaw.models._usage import Usage

__all__ = ["Gate", "OpenAIGenerator"]

KEY_VARIABLES = ("UNFLAW_API_KEY", "OPENAI_API_KEY")
"""Where the key is looked for; the first that is set wins. Local servers need none."""

OVERLOADED = (429, 503, 529)
"""HTTP status codes by which servers say that they are asked too much."""


class OpenAIGenerator:
    """Writes text through a server. Made for many rows: bounded, patient, and resumable with `cached`."""

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        n_parallel: int = 8,
        timeout_s: float = 120.0,
        max_retries: int = 6,
        backoff_s: float = 0.5,
        longest_wait_s: float = 300.0,
    ) -> None:
        """Take note of where the server is; it is first contacted by `generate`.

        Parameters
        ----------
        n_parallel
            Calls under way at once, at most.
        max_retries
            How often one row is sent again after a time-out, an overload or a failure of the server.
        backoff_s
            Scale of the random wait before a retry; it doubles each time.
        longest_wait_s
            When the server asks for more patience than this, the call fails instead.
        """
        problems = []
        if n_parallel < 1:
            problems.append(f"`n_parallel` must be at least 1, got {n_parallel}")
        if timeout_s <= 0:
            problems.append(f"`timeout_s` must be positive, got {timeout_s}")
        if max_retries < 0:
            problems.append(f"`max_retries` must not be negative, got {max_retries}")
        if "@" in urlsplit(base_url).netloc:  # not shown: it would be the secret itself
            problems.append(f"`base_url` must hold no user or password; set {KEY_VARIABLES[0]} in the environment")
        if problems:
            raise SettingsError(problems)
        self.model = model
        self.base_url = base_url.rstrip("/")
        self.n_parallel = n_parallel
        self.max_retries = max_retries
        self.usage = Usage()
        """Tokens, as the server counts them, and time of all calls so far."""
        self._timeout_s, self._backoff_s, self._longest_wait_s = timeout_s, backoff_s, longest_wait_s
        self._gate = Gate(n_parallel)
        self._answered = False

    def __repr__(self) -> str:
        """Name the server; the key is not there to be shown."""
        return f"OpenAIGenerator({self.model!r}, {self.base_url!r}, n_parallel={self.n_parallel})"

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        *,
        seeds: Sequence[int] | None = None,
        on_result: OnResult | None = None,
    ) -> list[str]:
        """Return one answer per prompt, in order; `on_result(i, answer)` is told as each is known.

        Raises ModelCallError when the server cannot be reached, refuses, or fails a row after all retries.
        Answers that had arrived by then have been told to `on_result`.
        """
        import openai

        seeds = row_seeds(len(prompts), sampling, seeds)
        if not prompts:
            return []
        start = time.perf_counter()
        answers = [""] * len(prompts)
        # Retries are ours, since a retry must give its place at the gate to another row.
        with openai.OpenAI(api_key=_key(), base_url=self.base_url, timeout=self._timeout_s, max_retries=0) as client:
            self._greet(client)
            for i, (answer, spent) in self._side_by_side(client, prompts, sampling, seeds):
                answers[i] = answer
                self.usage += spent
                if on_result is not None:
                    on_result(i, answer)
        self.usage += Usage(seconds=time.perf_counter() - start)
        return answers

    def _side_by_side(
        self, client: Any, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]
    ) -> Iterator[tuple[int, tuple[str, Usage]]]:
        """Yield (row, (answer, tokens)) as answers come in.

        After an error or Ctrl-C nothing more is sent, and nobody waits for calls still under way.
        """
        stop = threading.Event()
        pool = ThreadPoolExecutor(min(self.n_parallel, len(prompts)))
        try:
            asked = {
                pool.submit(self._ask, client, stop, i, _request(self.model, prompts[i], sampling, seeds[i])): i
                for i in range(len(prompts))
            }
            for future in as_completed(asked):
                yield asked[future], future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, client: Any, stop: threading.Event, row: int, request: Mapping[str, Any]) -> tuple[str, Usage]:
        """Send one row, again and again if that may help."""
        import openai
        import tenacity

        random_wait = tenacity.wait_random_exponential(multiplier=self._backoff_s, max=30)
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: _may_pass(error, self._longest_wait_s)),
            wait=lambda state: max(random_wait(state), _asked_to_wait(state.outcome)),
            stop=tenacity.stop_after_attempt(self.max_retries + 1) | tenacity.stop_when_event_set(stop),
            sleep=tenacity.sleep_using_event(stop),
            reraise=True,
        )
        try:
            return attempts(self._send, client, stop, request)
        except (openai.OpenAIError, _MalformedReplyError) as error:
            tries = attempts.statistics["attempt_number"]
            raise ModelCallError(
                f"`openai:{self.model}@{self.base_url}` failed row {row} after {tries} "
                f"{'try' if tries == 1 else 'tries'}: {_reason(error)}"
            ) from None  # the chain would show the request

    def _send(self, client: Any, stop: threading.Event, request: Mapping[str, Any]) -> tuple[str, Usage]:
        import openai

        with self._gate.place(stop) as entered:
            try:
                reply = client.chat.completions.create(**request)
            except openai.APIStatusError as error:
                if error.status_code in OVERLOADED:
                    self._gate.narrow(entered, min(_asked_to_wait(error), self._longest_wait_s))
                raise
            except ValueError as error:
                raise _MalformedReplyError(f"its reply is not JSON ({error})") from None
        self._gate.widen()
        return _read(reply)

    def _greet(self, client: Any) -> None:
        """See, the first time, that somebody answers: one message instead of one per row."""
        import openai

        if self._answered:
            return
        try:
            client.with_options(timeout=min(self._timeout_s, 10.0)).models.list()
        except openai.APIConnectionError as error:
            raise ModelCallError(
                f"no server answers at {self.base_url}: {_reason(error)}. Start it, or check the address"
            ) from None
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise ModelCallError(
                f"{self.base_url} refuses the key: {_reason(error)}. Set {KEY_VARIABLES[0]} in the environment"
            ) from None
        except (openai.APIError, ValueError):
            pass  # somebody answers; not every server can list its models
        self._answered = True


class Gate:
    """How many calls may be under way: halved on overload, one more for each round of successes."""

    def __init__(self, widest: int) -> None:
        self.width = float(widest)
        self._widest = widest
        self._inside = 0
        self._opens_at = self._narrowed_at = 0.0
        self._changed = threading.Condition()

    @contextmanager
    def place(self, stop: threading.Event) -> Iterator[float]:
        """Wait for a free place and hold it; yields when it was entered. Lets everyone in once `stop` is set."""
        with self._changed:
            while not stop.is_set():
                wait = self._opens_at - time.monotonic()
                if wait <= 0 and self._inside < int(self.width):
                    break
                self._changed.wait(min(max(wait, 0.01), 1.0))
            self._inside += 1
        try:
            yield time.monotonic()
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def narrow(self, entered: float, wait_s: float) -> None:
        """Let half as many in, and nobody for `wait_s` seconds.

        Calls that had entered before the last narrowing belong to the same overload and count once.
        """
        with self._changed:
            now = time.monotonic()
            self._opens_at = max(self._opens_at, now + wait_s)
            if entered >= self._narrowed_at:
                self.width = max(1.0, self.width / 2)
                self._narrowed_at = now

    def widen(self) -> None:
        """Note a success."""
        with self._changed:
            self.width = min(float(self._widest), self.width + 1 / self.width)
            self._changed.notify_all()


class _MalformedReplyError(Exception):
    """The server answered 200 with something that is no chat completion."""


def _request(model: str, prompt: Prompt, sampling: Sampling, seed: int) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": model,
        "messages": as_messages(prompt),
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": seed % 2**31,
    }
    if sampling.stop:
        request["stop"] = list(sampling.stop)
    if sampling.json_schema is not None:
        # Servers that constrain decoding (llama.cpp, vLLM, Ollama) do so either way; a hosted one refuses
        # schemas with length bounds when `strict` is set, and otherwise follows them as well as it can.
        schema = {"name": "answer", "strict": False, "schema": dict(sampling.json_schema)}
        request["response_format"] = {"type": "json_schema", "json_schema": schema}
    return request


def _read(reply: Any) -> tuple[str, Usage]:
    choices = getattr(reply, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    if message is None:
        raise _MalformedReplyError("its reply holds no answer")
    used = getattr(reply, "usage", None)
    spent = Usage(used.prompt_tokens or 0, used.completion_tokens or 0) if used is not None else Usage()
    return message.content or "", spent


def _may_pass(error: BaseException, longest_wait_s: float) -> bool:
    """Whether the same call may succeed later."""
    import openai

    if isinstance(error, openai.APIStatusError):
        lasting = error.code == "insufficient_quota" or _asked_to_wait(error) > longest_wait_s
        return not lasting and (error.status_code >= 500 or error.status_code in (408, 409, 425, 429))
    return isinstance(error, (openai.APIConnectionError, openai.APIResponseValidationError, _MalformedReplyError))


def _asked_to_wait(error: BaseException | Future[Any] | None) -> float:
    """Seconds the server asks for in `Retry-After`, as a number or a date; 0 when it does not."""
    if isinstance(error, Future):  # how tenacity keeps the outcome of a try
        error = error.exception()
    response = getattr(error, "response", None)
    text = response.headers.get("retry-after", "") if response is not None else ""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0


def _reason(error: BaseException) -> str:
    """Say what went wrong in a line, without the key even if the server repeats it."""
    cause = error.__cause__
    text = f"{error} {cause}" if cause is not None else str(error)
    key = _key()
    return " ".join((text.replace(key, "***") if key != "none" else text).split())[:400]


def _key() -> str:
    return next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), "none")
