"""Any server that speaks the OpenAI chat protocol: vLLM, Ollama, llama.cpp, or a hosted one.

Calls run side by side, as many as the server can take: the number starts at the user's bound, is halved
when the server says it is overloaded, and grows by one for each round of successes. The key comes from the
environment, and is never part of a message, a `repr`, a cache key or a log line.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from unflaw._errors import ModelCallError, SettingsError
from unflaw.models._cache import OnResult, RowsError, row_seeds
from unflaw.models._protocols import Prompt, Sampling, as_messages
from unflaw.models._usage import Usage

__all__ = ["Gate", "OpenAIGenerator"]

KEY_VARIABLES = ("UNFLAW_API_KEY", "OPENAI_API_KEY")
"""Where the key is looked for; the first that is set wins. Local servers need none."""

OVERLOADED = (429, 503, 529)
"""HTTP status codes by which servers say that they are asked too much."""

CLOSED_TO_ALL = (401, 402, 403, 404)
"""HTTP status codes that do not depend on the row: the key, the bill, the permission, the model's name."""

REFUSED_IN_A_ROW = 100
"""After so many rows that were refused, and none that was answered in between, nothing more is sent."""

EXHAUSTED_IN_A_ROW = 3
"""The same for rows that failed after all retries, which take long."""


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

        A row that is refused or stays without an answer does not stop the others: what is wrong with any is
        raised once, at the end, as a ModelCallError that names these rows. Nothing more is sent when no other
        row can fare better (a wrong key or model, nobody there, failure upon failure); calls under way then
        still finish. Every answer has been told to `on_result`, so a rerun with `cached` asks for the rest.
        """
        import openai

        seeds = row_seeds(len(prompts), sampling, seeds)
        if not prompts:
            return []
        start = time.perf_counter()
        requests = [_request(self.model, prompt, sampling, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        answers: dict[int, str] = {}
        losses = _Losses()
        # Retries are ours, since a retry must give its place at the gate to another row.
        server = openai.OpenAI(api_key=_key(), base_url=self.base_url, timeout=self._timeout_s, max_retries=0)
        with server as client, closing(self._side_by_side(client, losses, requests)) as outcomes:
            self._greet(client)
            for i, outcome in outcomes:
                self.usage += outcome.spent
                losses.note(i, outcome)
                if isinstance(outcome, _Answer):
                    answers[i] = outcome.text
                    if on_result is not None:
                        on_result(i, outcome.text)
        self.usage += Usage(seconds=time.perf_counter() - start)
        if losses.reasons:
            rest = losses.rest(len(answers), len(prompts))
            raise RowsError(f"openai:{self.model}@{self.base_url}", losses.reasons, rest)
        return [answers[i] for i in range(len(prompts))]

    def _side_by_side(
        self, client: Any, losses: _Losses, requests: Sequence[Mapping[str, Any]]
    ) -> Generator[tuple[int, _Answer | _Loss], None, None]:
        """Yield (row, what came of it) as they come in, without rows that were not sent to the end.

        After Ctrl-C nothing more is sent, and nobody waits for calls still under way.
        """
        pool = ThreadPoolExecutor(min(self.n_parallel, len(requests)))
        try:
            asked = {pool.submit(self._ask, client, losses.stop, request): i for i, request in enumerate(requests)}
            for future in as_completed(asked):
                outcome = future.result()
                if outcome is not None:
                    yield asked[future], outcome
        finally:
            losses.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, client: Any, stop: threading.Event, request: Mapping[str, Any]) -> _Answer | _Loss | None:
        """Send one row, again and again if that may help. None when it was stopped before its turn or a retry."""
        import openai
        import tenacity

        random_wait = tenacity.wait_random_exponential(multiplier=self._backoff_s, max=30)
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: _may_pass(error, self._longest_wait_s)),
            wait=lambda state: max(random_wait(state), _asked_to_wait(state.outcome)),
            stop=tenacity.stop_after_attempt(self.max_retries + 1),
            sleep=tenacity.sleep_using_event(stop),
            reraise=True,
        )
        try:
            return attempts(self._send, client, stop, request)
        except (openai.OpenAIError, _MalformedReplyError) as error:
            if _concerns_all(error, self._longest_wait_s):
                stop.set()
            return _Loss(_reason(error), attempts.statistics["attempt_number"])

    def _send(self, client: Any, stop: threading.Event, request: Mapping[str, Any]) -> _Answer | _Loss | None:
        import openai

        with self._gate.place(stop) as entered:
            if stop.is_set():
                return None
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


@dataclass(frozen=True)
class _Answer:
    """What a row got."""

    text: str
    spent: Usage


@dataclass(frozen=True)
class _Loss:
    """Why a row got no answer."""

    reason: str
    tries: int = 1
    spent: Usage = Usage()


class _Losses:
    """The rows of a call that got no answer, and whether it is of use to go on."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        """Set once nothing more shall be sent."""
        self.reasons: dict[int, str] = {}
        """Row → why it has no answer."""
        self._lately: list[_Loss] = []
        """Those since the last answer."""

    def note(self, row: int, outcome: _Answer | _Loss) -> None:
        """Take in what came of a row."""
        if isinstance(outcome, _Answer):
            self._lately.clear()
            return
        self._lately.append(outcome)
        tries = "1 try" if outcome.tries == 1 else f"{outcome.tries} tries"
        self.reasons[row] = f"after {tries}: {outcome.reason}"
        n_exhausted = sum(loss.tries > 1 for loss in self._lately)
        if len(self._lately) >= REFUSED_IN_A_ROW or n_exhausted >= EXHAUSTED_IN_A_ROW:
            self.stop.set()

    def rest(self, n_answered: int, n_rows: int) -> str:
        """Say what became of the other rows."""
        n_open = n_rows - n_answered - len(self.reasons)
        left = f". Nothing more was sent then: {n_open} other rows have no answer either" if n_open else ""
        return left + (f". The other {n_answered} have one" if n_answered else "")


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


def _read(reply: Any) -> _Answer | _Loss:
    """Take the answer out of a reply. No text at all is no answer; an empty text is one."""
    choices = getattr(reply, "choices", None) or [None]
    message = getattr(choices[0], "message", None)
    if message is None:
        raise _MalformedReplyError("its reply holds no answer")
    used = getattr(reply, "usage", None)
    spent = Usage(used.prompt_tokens or 0, used.completion_tokens or 0) if used is not None else Usage()
    if message.content is not None:
        return _Answer(message.content, spent)
    refusal = getattr(message, "refusal", None)
    why = f"its reply holds no text, finish_reason {getattr(choices[0], 'finish_reason', None)!r}"
    return _Loss(_without_key(f"{why}: {refusal}" if refusal else why), spent=spent)


def _may_pass(error: BaseException, longest_wait_s: float) -> bool:
    """Whether the same call may succeed later."""
    import openai

    if isinstance(error, openai.APIStatusError):
        lasting = error.code == "insufficient_quota" or _asked_to_wait(error) > longest_wait_s
        return not lasting and (error.status_code >= 500 or error.status_code in (408, 409, 425, 429))
    return isinstance(error, (openai.APIConnectionError, openai.APIResponseValidationError, _MalformedReplyError))


def _concerns_all(error: BaseException, longest_wait_s: float) -> bool:
    """Whether every other row would fail in the same way."""
    import openai

    if isinstance(error, openai.APIStatusError):
        wait = _asked_to_wait(error) > longest_wait_s
        return wait or error.status_code in CLOSED_TO_ALL or error.code == "insufficient_quota"
    return isinstance(error, openai.APIConnectionError) and not isinstance(error, openai.APITimeoutError)


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
    """Say what went wrong in a line."""
    cause = error.__cause__
    return _without_key(f"{error} {cause}" if cause is not None else str(error))


def _without_key(text: str) -> str:
    """Return the text in one line, without the key even if the server repeats it."""
    key = _key()
    return " ".join((text.replace(key, "***") if key != "none" else text).split())[:400]


def _key() -> str:
    return next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), "none")
