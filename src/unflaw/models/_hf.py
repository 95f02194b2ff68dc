"""Local models through transformers: load, generate in batches, score token by token."""

from __future__ import annotations

import json
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from unflaw._errors import ModelCallError, SpecError
from unflaw.models._cache import OnResult, row_seeds
from unflaw.models._chat import encode_pair, encode_prompt
from unflaw.models._embedded import EMBEDDED_CHECKPOINT, embedded_checkpoint
from unflaw.models._extras import require
from unflaw.models._head import head_fits, head_of, last_states
from unflaw.models._modes import as_judge, inside, plain_generation
from unflaw.models._protocols import Prompt, Sampling
from unflaw.models._usage import Usage

__all__ = [
    "HFGenerator", "HFScorer", "adapter_base", "checkpoint_folders", "ends_of", "found_name", "load_adapter",
    "load_causal", "most_tokens", "quietly",
]  # fmt: skip


def load_causal(
    name: str | Path, device: str = "cpu", *, shards: int = 1, precision: str = "float32", frozen: bool = False
) -> tuple[Any, Any]:
    """Load (model, tokenizer) in evaluation mode from a folder, or from the hub by id.

    A folder is read from disk alone, and remembered by its whole path: an adapter trained on it notes where
    its base is, and must find it from any other directory. A hub id comes from the local hub cache or the
    network, as `HF_HUB_OFFLINE` says. Code that a checkpoint brings along is never run.
    Weights are fp32, since training adds to them what bfloat16 would round away; those that stay as they are, `frozen`
    under an adapter to come, are of `precision`.
    With `shards` above 1 each of so many processes reads its part of the weights (FSDP2), on the device that torch
    gives it; the part is fp32, and what is gathered of it to compute with is of `precision`.
    Raises SpecError when there is nothing to load, or no plan by which to split it.
    """
    require("torch", "transformers")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    name = found_name(name)
    local = Path(name).is_dir()
    try:
        with quietly():
            tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local)
            how = _split(name, shards, precision) if shards > 1 else {}
            dtype = getattr(torch, precision) if frozen and shards == 1 else torch.float32
            model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, local_files_only=local, **how)
    except (OSError, ValueError) as error:
        where = "is no causal language model with its tokenizer" if local else "is no folder, and no hub gave it to us"
        raise SpecError(f"`hf:{name}` {where}: {_first_line(error)}") from error
    if shards == 1:
        return model.to(device).eval(), tokenizer
    groups = sum(hasattr(module, "reshard") for module in model.modules())
    if groups <= model.config.get_text_config().num_hidden_layers:
        raise SpecError(f"`hf:{name}` cannot be split: transformers has no plan for {type(model).__name__}'s layers")
    return model.eval(), tokenizer


def _split(name: str, shards: int, precision: str) -> dict[str, Any]:
    """Return what makes transformers split a model's weights over processes.

    The head gets a group of its own where it has weights of its own: losses gather and use them, and never call the
    module, whose hooks would take the backward pass of a chunk of logits for the model's.
    """
    from transformers import AutoConfig
    from transformers.distributed.configuration_utils import DistributedConfig

    tied = AutoConfig.from_pretrained(name, local_files_only=Path(name).is_dir()).get_text_config().tie_word_embeddings
    plan = None if tied else {"lm_head": "free_full_weight"}
    half = precision == "bfloat16"  # casts by autocast would hold on to every weight until the backward pass
    return {"distributed_config": DistributedConfig(fsdp_size=shards, fsdp_plan=plan, fsdp_mixed_precision=half)}


def load_adapter(folder: str | Path, device: str = "cpu") -> tuple[Any, Any]:
    """Load a LoRA (or other peft) adapter on top of its base model: (peft model, tokenizer).

    The tokenizer, and with it the chat template, is that of the adapter's folder, if there is one: what it was trained
    with. Raises SpecError when the folder holds no adapter, or one that does not fit its base.
    """
    require("peft", "torch", "transformers")
    from peft import PeftModel
    from transformers import AutoTokenizer

    folder = Path(folder).expanduser()
    model, tokenizer = load_causal(adapter_base(folder), device)
    try:
        with quietly():
            if (folder / "tokenizer_config.json").is_file():
                tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            if len(tokenizer) > model.get_input_embeddings().num_embeddings:  # tokens added for the adapter
                model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
            return PeftModel.from_pretrained(model, str(folder), local_files_only=True).eval(), tokenizer
    except (OSError, ValueError, RuntimeError) as error:
        told = " ".join(str(error).split())[:300]
        raise SpecError(f"`peft:{folder}` is no adapter that fits its base: {told}") from error


def adapter_base(folder: Path) -> str | Path:
    """Return the folder (its whole path) or hub id of the model an adapter was trained on.

    The embedded model is found again on another machine, where the cache has another path.
    Raises SpecError when the folder holds no adapter.
    """
    try:
        base = Path(json.loads((folder / "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(f"`peft:{folder}` must hold an adapter_config.json that names its base: {error}") from error
    return embedded_checkpoint() if base.name == EMBEDDED_CHECKPOINT else _whole_path(base)


def checkpoint_folders(folder: Path) -> list[Path]:
    """Return the folders on this machine that hold a checkpoint's weights: its own, then an adapter's base."""
    if not (folder / "adapter_config.json").is_file():
        return [folder]
    base = Path(adapter_base(folder))
    return [folder, base] if base.is_dir() else [folder]


def found_name(name: str | Path) -> str:
    """Return a folder's path from the root on, or a hub id as it is. Raises SpecError for what is neither."""
    name = _whole_path(name)
    if not Path(name).is_dir() and not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", name):
        raise SpecError(f"`hf:{name}` must name an existing folder or a hub id like org/name, and is neither")
    return name


def _whole_path(name: str | Path) -> str:
    """Return a folder's path from the root on, and any other name as it is."""
    folder = Path(name).expanduser()
    return str(folder.absolute()) if folder.is_dir() else str(name)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep transformers from drawing its own progress bars, and from warnings that only peft's authors can heed."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            yield
    finally:
        if was_on:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


class HFGenerator:
    """Writes text with a transformers model, in batches of rows of like length.

    Row i is drawn with its own seed, so its answer does not depend on which rows share its batch
    (but for rounding: sums over padded batches may differ in the last bit, which can tip a tie).
    A `json_schema` is not enforced here.
    """

    def __init__(self, model: Any, tokenizer: Any, *, batch_size: int = 16) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.usage = Usage()
        """Tokens and time of all calls so far."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        *,
        seeds: Sequence[int] | None = None,
        on_result: OnResult | None = None,
    ) -> list[str]:
        """Return one answer per prompt, in order; `on_result(i, answer)` is told after each batch.

        Raises ModelCallError when a prompt leaves no room for the answer.
        """
        start = time.perf_counter()
        seeds = row_seeds(len(prompts), sampling, seeds)
        encoded = [encode_prompt(self.tokenizer, prompt) for prompt in prompts]
        self._check_room(encoded, sampling)
        order = sorted(range(len(prompts)), key=lambda i: len(encoded[i]))
        answers = [""] * len(prompts)
        written = 0
        for first in range(0, len(order), self.batch_size):
            rows = order[first : first + self.batch_size]
            texts = self._write([encoded[i] for i in rows], [seeds[i] for i in rows], sampling)
            for i, ids in zip(rows, texts, strict=True):
                written += len(ids)
                answers[i] = _before_stop(self.tokenizer.decode(ids, skip_special_tokens=True), sampling.stop)
                if on_result is not None:
                    on_result(i, answers[i])
        self.usage += Usage(sum(map(len, encoded)), written, time.perf_counter() - start)
        return answers

    def _check_room(self, encoded: Sequence[Sequence[int]], sampling: Sampling) -> None:
        limit = most_tokens(self.model)
        for i, ids in enumerate(encoded):
            if limit is not None and len(ids) + sampling.max_tokens > limit:
                raise ModelCallError(
                    f"row {i}: the prompt has {len(ids)} tokens and `max_tokens` is {sampling.max_tokens}, "
                    f"but the model reads at most {limit} in all; shorten one of them"
                )

    def _write(self, batch: Sequence[Sequence[int]], seeds: Sequence[int], sampling: Sampling) -> list[list[int]]:
        """Continue each row by at most `max_tokens`; end-of-turn tokens and what follows are cut off."""
        import torch
        from transformers import GenerationConfig

        ends = ends_of(self.model, self.tokenizer)
        width = max(map(len, batch))
        pad = ends[0] if ends else 0
        ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in batch])  # (b, width)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch])
        # Drawing is done by _Draw; what remains for transformers is to take the largest logit.
        greedy = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=sampling.max_tokens,
            do_sample=False,
            eos_token_id=ends or None,
            pad_token_id=pad,
            stop_strings=list(sampling.stop) or None,
        )
        with as_judge(self.model), plain_generation(self.model):
            out = self.model.generate(
                input_ids=ids.to(self.model.device),
                attention_mask=mask.to(self.model.device),
                generation_config=greedy,
                logits_processor=[_Draw(seeds, sampling)] if sampling.temperature > 0 else [],
                tokenizer=self.tokenizer if sampling.stop else None,
            )
        return [_before_end(row, ends) for row in out[:, width:].tolist()]


class _Draw:
    """Turns "take the largest logit" into a draw, with one random generator per row.

    The largest of logit / temperature + Gumbel noise is distributed as softmax(logit / temperature).
    """

    def __init__(self, seeds: Sequence[int], sampling: Sampling) -> None:
        import torch

        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.sampling = sampling

    def __call__(self, ids: Any, logits: Any) -> Any:
        import torch

        logits = logits.float() / self.sampling.temperature  # (b, vocabulary)
        if self.sampling.top_p < 1:
            p, order = logits.softmax(-1).sort(descending=True)
            before = p.cumsum(-1) - p  # mass of the likelier tokens: the likeliest always stays
            beyond = torch.zeros_like(p, dtype=torch.bool).scatter(-1, order, before >= self.sampling.top_p)
            logits = logits.masked_fill(beyond, -torch.inf)
        noise = torch.stack([torch.rand(logits.shape[-1], generator=g) for g in self.generators])
        return logits - noise.clamp_min(1e-20).log().neg().log().to(logits.device)


class HFScorer:
    """Log-probability of every response token under a transformers model.

    Rows of like length share a batch of at most `batch_tokens` tokens, padding included. Logits
    are formed for the tokens that count alone, `chunk_tokens` at a time: a vocabulary of 50,000
    would otherwise need 200 kB per token. Where the head alone does not give the model's logits, the model
    gives them itself, for `chunk_tokens` tokens at a time. A row longer than the model's context is
    scored up to there.
    """

    def __init__(self, model: Any, tokenizer: Any, *, batch_tokens: int = 4096, chunk_tokens: int = 512) -> None:
        """Wrap a model, and see on a short row how it comes to its logits."""
        self.model = model
        self.tokenizer = tokenizer
        self.batch_tokens = batch_tokens
        self.chunk_tokens = chunk_tokens
        self._head_fits = head_fits(model)

    def log_probs(
        self, pairs: Sequence[tuple[Prompt, str]], *, progress: Callable[[int, int], None] | None = None
    ) -> list[Float[np.ndarray, " tokens"]]:
        """Return one array per pair; see `Scorer`. `progress` hears (rows done, rows in all)."""
        limit = most_tokens(self.model)
        rows = [encode_pair(self.tokenizer, prompt, response) for prompt, response in pairs]
        rows = [(ids[:limit], mask[:limit]) for ids, mask in rows]
        scores = [np.zeros(0, np.float32)] * len(rows)
        done = sum(not any(mask) for _, mask in rows)
        for batch in self._batches(rows):
            for i, score in zip(batch, self._score([rows[i] for i in batch]), strict=True):
                scores[i] = score
            done += len(batch)
            if progress is not None:
                progress(done, len(rows))
        return scores

    def _batches(self, rows: Sequence[tuple[list[int], list[bool]]]) -> Iterator[list[int]]:
        """Yield positions of rows of like length, longest first: the first batch needs the most memory."""
        order = sorted((i for i, (_, mask) in enumerate(rows) if any(mask)), key=lambda i: -len(rows[i][0]))
        most = self.batch_tokens if self._head_fits else min(self.batch_tokens, self.chunk_tokens)
        while order:
            n = max(1, most // len(rows[order[0]][0]))
            yield order[:n]
            order = order[n:]

    def _score(self, batch: Sequence[tuple[list[int], list[bool]]]) -> list[Float[np.ndarray, " tokens"]]:
        import torch

        width = max(len(ids) for ids, _ in batch)
        # Padding stands on the right, where no earlier token looks: no attention mask is needed.
        ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in batch]).to(self.model.device)
        counts = torch.tensor([mask + [False] * (width - len(mask)) for _, mask in batch]).to(self.model.device)
        before = counts[:, 1:]  # True at each position before a token that counts

        def scored() -> Any:
            if self._head_fits:
                states, head = last_states(self.model, ids)[:, :-1][before], head_of(self.model)  # (tokens, d)
            else:
                states, head = self.model(input_ids=ids, use_cache=False).logits[:, :-1][before], _as_they_are
            return self._token_scores(states, head, ids[counts])

        with as_judge(self.model):
            scores = inside(self.model, scored) if self._head_fits else scored()
        return list(np.split(scores, np.cumsum([sum(mask) for _, mask in batch])[:-1]))

    def _token_scores(self, states: Any, head: Callable[[Any], Any], targets: Any) -> Float[np.ndarray, " tokens"]:
        parts = []
        for part, ids in zip(states.split(self.chunk_tokens), targets.split(self.chunk_tokens), strict=True):
            logits = head(part).float()  # (chunk, vocabulary)
            parts.append(logits.gather(-1, ids[:, None])[:, 0] - logits.logsumexp(-1))
        return np.concatenate([part.cpu().numpy() for part in parts])


def _as_they_are(logits: Any) -> Any:
    return logits


def most_tokens(model: Any) -> int | None:
    """Return how many tokens the model reads at most, if it says so."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def ends_of(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids that end an answer, by the model's own settings and by its tokenizer."""
    own = model.generation_config.eos_token_id
    own = [] if own is None else [own] if isinstance(own, int) else list(own)
    more = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return list(dict.fromkeys(own + more))


def _before_end(ids: Sequence[int], ends: Sequence[int]) -> list[int]:
    return list(ids[: next((i for i, token in enumerate(ids) if token in ends), len(ids))])


def _before_stop(text: str, stop: Sequence[str]) -> str:
    return text[: min((text.find(s) for s in stop if s in text), default=len(text))]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
