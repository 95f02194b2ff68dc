"""GGUF models through llama.cpp: fast generation on CPUs, and a real server to test against."""

from __future__ import annotations

import json
import os
import secrets
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import TracebackType
from typing import Any

from unflaw._errors import ModelCallError, SettingsError, SpecError
from unflaw.models._cache import OnResult, row_seeds
from unflaw.models._extras import require
from unflaw.models._protocols import Prompt, Sampling, as_messages
from unflaw.models._usage import Usage

__all__ = ["LlamaGenerator", "LlamaServer"]

SMALLEST_CONTEXT = 1024
"""Tokens per slot to start with; grown in powers of two when a prompt needs more."""

TEMPLATE_TOKENS = 64
"""What a chat template adds to a prompt, about."""


class LlamaGenerator:
    """Writes text with a GGUF model, `n_parallel` rows at a time.

    The context is as long as the rows need: it starts small and grows, up to what the model was
    trained on, when a prompt or an answer does not fit.

    Draws are plain temperature and top-p sampling: llama.cpp's own habits (top-k 40, min-p .05)
    are switched off. A row's answer depends on its prompt and its seed. Rows that share a step can in
    principle change the order of floating-point sums and so tip a near-tie; with SmolLM2 we saw none
    (12 prompts, 24 greedy tokens each: equal for 1 and 6 slots, rerun, and in reverse order).
    """

    def __init__(self, path: str | Path, *, n_parallel: int = 8, n_threads: int | None = None) -> None:
        """Open a model file. `n_threads` is `$OMP_NUM_THREADS` or all cores we may use."""
        if n_parallel < 1:
            raise SettingsError(f"`n_parallel` must be at least 1, got {n_parallel}")
        self.path = Path(path)
        self.n_parallel = n_parallel
        self.n_threads = n_threads or _usable_cores()
        self.usage = Usage()
        """Tokens and time of all calls so far."""
        self._server = LlamaServer(self.path, n_parallel=n_parallel, n_threads=self.n_threads)

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        *,
        seeds: Sequence[int] | None = None,
        on_result: OnResult | None = None,
    ) -> list[str]:
        """Return one answer per prompt, in order; `on_result(i, answer)` is told as each is known.

        Raises ModelCallError when the model is closed, or naming the row that does not fit or is refused.
        """
        if self._server.closed:
            raise ModelCallError(f"`{self.path}` is closed; open it again")
        start = time.perf_counter()
        seeds = row_seeds(len(prompts), sampling, seeds)
        answers: dict[int, str] = {}
        # Rows of like length run side by side, so no slot waits long for the last one.
        waiting = sorted(range(len(prompts)), key=lambda i: _size(prompts[i]))
        self._make_room(max(map(_size, prompts), default=0) // 3 + TEMPLATE_TOKENS + sampling.max_tokens)
        while waiting:
            too_long: dict[int, int] = {}
            for i, reply in self._replies(waiting, prompts, seeds, sampling):
                needed = _context_needed(reply, sampling)
                if needed and self._server.context < self._server.n_trained:
                    too_long[i] = needed
                    continue
                answers[i] = self._text(i, reply, sampling, needed)
                if on_result is not None:
                    on_result(i, answers[i])
            if too_long:
                self._make_room(max(too_long.values()))
            waiting = [i for i in waiting if i in too_long]
        self.usage += Usage(seconds=time.perf_counter() - start)
        return [answers[i] for i in range(len(prompts))]

    def _replies(
        self, rows: Sequence[int], prompts: Sequence[Prompt], seeds: Sequence[int], sampling: Sampling
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (row, reply) as replies come in."""
        pool = ThreadPoolExecutor(self.n_parallel)
        try:
            asked = {pool.submit(self._server.ask, prompts[i], _request(sampling, seeds[i])): i for i in rows}
            for future in as_completed(asked):
                yield asked[future], future.result()
        finally:  # also on Ctrl-C: rows not yet begun are dropped, those in a slot finish
            pool.shutdown(cancel_futures=True)

    def _text(self, row: int, reply: Mapping[str, Any], sampling: Sampling, needed: int) -> str:
        if needed:
            raise ModelCallError(
                f"row {row}: the prompt and `max_tokens` need {needed} tokens together, but the model reads at "
                f"most {self._server.n_trained}; shorten one of them"
            )
        if "error" in reply:
            raise ModelCallError(f"row {row}: llama.cpp refused the request: {reply['error']['message']}")
        self.usage += Usage(reply["usage"]["prompt_tokens"], reply["usage"]["completion_tokens"])
        text = reply["choices"][0]["message"]["content"] or ""
        if sampling.json_schema is not None and not _is_json(text, cut=_is_cut(reply) or bool(sampling.stop)):
            raise ModelCallError(
                f"row {row}: the answer is no JSON, so llama.cpp cannot enforce this `json_schema` (it ignores one "
                f"that it cannot read); check it, or use fewer kinds of keywords. The answer began {text[:40]!r}"
            )
        return text

    def _make_room(self, needed: int) -> None:
        """Open the model again if a slot holds less than `needed` tokens, as far as it was trained."""
        if needed <= self._server.context or self._server.context >= self._server.n_trained:
            return
        context = min(1 << (needed - 1).bit_length(), self._server.n_trained)
        self._server.close()
        self._server = LlamaServer(self.path, n_parallel=self.n_parallel, n_threads=self.n_threads, context=context)

    def close(self) -> None:
        """Free the model's memory. Calling `generate` afterwards is an error."""
        self._server.close()

    def __enter__(self) -> LlamaGenerator:
        """Return the generator; leaving the block closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the model."""
        self.close()


class LlamaServer:
    """One loaded GGUF model. It answers calls from this process, and HTTP on 127.0.0.1 with a key.

    llama.cpp always opens the HTTP port. Unless `api_key` says otherwise the key is random and
    known to nobody else, so other users of the machine cannot use the model.
    """

    def __init__(
        self,
        path: Path,
        *,
        n_parallel: int = 8,
        n_threads: int | None = None,
        context: int = SMALLEST_CONTEXT,
        port: int = 0,
        api_key: str | None = None,
    ) -> None:
        """Load the model with `context` tokens per slot; port 0 takes a free one.

        Raises SpecError when the file is no GGUF model that llama.cpp can open.
        """
        self._key = secrets.token_hex(16) if api_key is None else api_key
        try:
            self._server = _start(path, n_parallel, n_threads or _usable_cores(), context, port, self._key)
        except (RuntimeError, ValueError) as error:
            raise SpecError(f"`gguf:{path}` must be a model that llama.cpp can open: {error}") from error
        self.context = context
        """Tokens one slot can hold: prompt and answer together."""
        self.n_trained: int = self._get("/v1/models")["data"][0]["meta"]["n_ctx_train"]
        """Tokens the model was trained to read."""
        # This request is answered by llama.cpp's main loop. A server that is closed before its loop
        # has begun waits for itself for ever (seen with xllamacpp 2026.10), so let it begin first.
        self._get("/slots")

    @property
    def address(self) -> str:
        """Where the HTTP server listens, e.g. "http://127.0.0.1:40123"."""
        return self._server.listening_address

    def ask(self, prompt: Prompt, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one prompt; refusals come back as {"error": {"type", "message", ...}}."""
        try:
            return self._server.handle_chat_completions({**request, "messages": as_messages(prompt)})
        except (RuntimeError, ValueError) as error:
            return {"error": {"type": "refused", "message": str(error)}}

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._server is None

    def close(self) -> None:
        """Stop the server and free its memory."""
        self._server = None

    def _get(self, path: str) -> Any:
        request = urllib.request.Request(self.address + path, headers={"Authorization": f"Bearer {self._key}"})
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=60) as response:
            return json.load(response)


def _start(path: Path, n_parallel: int, n_threads: int, context: int, port: int, key: str) -> Any:
    require("xllamacpp")
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = context * n_parallel
    params.n_parallel = n_parallel
    params.cpuparams.n_threads = n_threads
    params.port = port
    params.api_keys = [key] if key else []
    params.verbosity = -1  # llama.cpp would write a page to stderr
    params.warmup = False
    params.ui = False
    params.fit_params = False  # take the context we ask for
    # An answer must not depend on what was asked before: no reuse of earlier prompts' states.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.slot_prompt_similarity = 0.0
    # The answer is the text as written. (`force_pure_content_parser` would say the same, but it switches
    # schema-constrained decoding off.)
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    params.cors_origins = "http://127.0.0.1"  # a web page open in a browser has no business here
    return xllamacpp.Server(params)


def _request(sampling: Sampling, seed: int) -> dict[str, Any]:
    """Spell out every setting that llama.cpp would otherwise choose itself."""
    request: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": 0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "seed": seed % 2**32 if seed % 2**32 != 2**32 - 1 else 0,  # the largest means "random" to llama.cpp
        "cache_prompt": False,
    }
    if sampling.stop:
        request["stop"] = list(sampling.stop)
    if sampling.json_schema is not None:
        request["grammar"] = _grammar(sampling.json_schema)
    return request


def _grammar(schema: Mapping[str, Any]) -> str:
    """Return the grammar of compact JSON that satisfies a schema.

    Left to itself the grammar allows any white space between any two tokens; small models then
    indent, or write line breaks until `max_tokens` is spent.
    """
    from xllamacpp import json_schema_to_grammar

    compact = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    return json_schema_to_grammar(json.dumps({"x-guidance": compact, **schema}))


def _context_needed(reply: Mapping[str, Any], sampling: Sampling) -> int:
    """Return the context that would have been enough, or 0 when it was."""
    if "error" in reply:
        error = reply["error"]
        return error["n_prompt_tokens"] + sampling.max_tokens if error["type"] == "exceed_context_size_error" else 0
    if _is_cut(reply) and reply["usage"]["completion_tokens"] < sampling.max_tokens:
        return reply["usage"]["prompt_tokens"] + sampling.max_tokens
    return 0


def _is_cut(reply: Mapping[str, Any]) -> bool:
    """Say whether the answer ended for want of tokens."""
    return reply["choices"][0]["finish_reason"] == "length"


def _is_json(text: str, *, cut: bool) -> bool:
    if cut:
        return text[:1] in tuple('{["-0123456789tfn') or not text
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _size(prompt: Prompt) -> int:
    return sum(len(turn["content"]) for turn in as_messages(prompt))


def _usable_cores() -> int:
    if os.environ.get("OMP_NUM_THREADS", "").isdigit():
        return max(1, int(os.environ["OMP_NUM_THREADS"]))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
