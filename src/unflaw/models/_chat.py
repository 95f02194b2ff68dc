"""From (prompt, response) to token ids, the same way for scoring and for training."""

from __future__ import annotations

from typing import Any

from unflaw.models._protocols import Prompt, as_messages

__all__ = ["LINES", "encode_pair", "encode_prompt"]

LINES = "{% for turn in messages %}{{ turn['content'] + '\n' }}{% endfor %}"
"""What stands in for a chat template where there is none (a base model): the turns, a line each."""


def encode_prompt(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Return the ids after which the model's answer starts.

    With a chat template: the turns, then the header of the assistant's turn. Without one: `LINES`.
    """
    opening = _opening(tokenizer, prompt)
    # A template spells out what opens a text (e.g. a BOS token); without one the tokenizer adds it.
    return list(tokenizer(opening, add_special_tokens=tokenizer.chat_template is None).input_ids)


def encode_pair(tokenizer: Any, prompt: Prompt, response: str) -> tuple[list[int], list[bool]]:
    """Return token ids and a mask, True where the token counts: the response and its end of turn.

    The prompt's ids are exactly those of `encode_prompt`, so a model is trained and scored on the
    very prefix it is later asked to continue. They are tokenised apart from the response for the
    same reason: at generation time no token spans the two.

    An empty prompt means plain text: every token counts except the first, which nothing precedes.
    """
    if not prompt:
        ids = list(tokenizer(response).input_ids)
        return ids, [i > 0 for i in range(len(ids))]
    before = encode_prompt(tokenizer, prompt)
    after = _response_ids(tokenizer, prompt, response)
    return before + after, [False] * len(before) + [True] * len(after)


def _response_ids(tokenizer: Any, prompt: Prompt, response: str) -> list[int]:
    """Return the ids of the response up to and including the token that ends the turn."""
    ending = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    if tokenizer.chat_template is None:
        return _ids(tokenizer, response) + ending
    opening = _opening(tokenizer, prompt)
    turns = [*as_messages(prompt), {"role": "assistant", "content": response}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    if not whole.startswith(opening):
        # Some templates open the turn with more than they keep of it, e.g. an empty thought.
        return _ids(tokenizer, response) + ending
    ids = _ids(tokenizer, whole[len(opening) :])
    # A template may write a line break after the end of turn. No model writes it: it has stopped.
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    last = max((i for i, token in enumerate(ids) if token in special), default=len(ids) - 1)
    return ids[: last + 1]


def _opening(tokenizer: Any, prompt: Prompt) -> str:
    return tokenizer.apply_chat_template(
        as_messages(prompt),
        chat_template=tokenizer.chat_template or LINES,
        tokenize=False,
        add_generation_prompt=True,
    )


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids)
