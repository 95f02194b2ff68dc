import copy

from unflaw.models import encode_pair, encode_prompt

PROMPT, RESPONSE = "Capital of France?\n\n1. Spain", "Paris,\n\n2 of course."


def text_of(tokenizer, ids, mask, counts=True):
    return tokenizer.decode([i for i, m in zip(ids, mask, strict=True) if m is counts])


def with_template(tokenizer, template):
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = template
    return changed


def test_the_response_and_its_end_of_turn_count_and_nothing_else(tokenizer):
    ids, mask = encode_pair(tokenizer, PROMPT, RESPONSE)
    assert text_of(tokenizer, ids, mask) == RESPONSE + "<|im_end|>"
    assert text_of(tokenizer, ids, mask, counts=False).endswith(f"{PROMPT}<|im_end|>\n<|im_start|>assistant\n")


def test_the_prefix_is_what_a_generator_is_given(tokenizer):
    ids, mask = encode_pair(tokenizer, PROMPT, RESPONSE)
    start = mask.index(True)
    assert ids[:start] == encode_prompt(tokenizer, PROMPT)
    assert all(mask[start:]) and not any(mask[:start])


def test_whole_equals_the_template_rendered_at_once(tokenizer):
    turns = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": RESPONSE}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    assert tokenizer.decode(encode_pair(tokenizer, PROMPT, RESPONSE)[0]) + "\n" == whole


def test_a_chat_is_a_prompt_too(tokenizer):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}]
    ids, mask = encode_pair(tokenizer, chat, RESPONSE)
    assert text_of(tokenizer, ids, mask, counts=False).startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert text_of(tokenizer, ids, mask) == RESPONSE + "<|im_end|>"


def test_plain_text_counts_from_its_second_token(tokenizer):
    ids, mask = encode_pair(tokenizer, "", "one two three")
    assert ids == tokenizer("one two three").input_ids
    assert mask == [False, True, True]
    assert encode_pair(tokenizer, "", "") == ([], [])


def test_an_empty_response_is_an_end_of_turn(tokenizer):
    ids, mask = encode_pair(tokenizer, PROMPT, "")
    assert text_of(tokenizer, ids, mask) == "<|im_end|>"


def test_a_base_model_reads_lines(tokenizer):
    base = with_template(tokenizer, None)
    ids, mask = encode_pair(base, PROMPT, RESPONSE)
    assert base.decode(ids) == f"{PROMPT}\n{RESPONSE}<|im_end|>"
    assert text_of(base, ids, mask) == RESPONSE + "<|im_end|>"


def test_a_template_that_trims_is_followed(tokenizer):
    trims = "{% for m in messages %}<|im_start|>{{ m.content | trim }}<|im_end|>{% endfor %}"
    trims += "{% if add_generation_prompt %}<|im_start|>{% endif %}"
    changed = with_template(tokenizer, trims)
    ids, mask = encode_pair(changed, "Q", "  A  ")
    assert tokenizer.decode(ids) == "<|im_start|>Q<|im_end|><|im_start|>A<|im_end|>"
    assert text_of(changed, ids, mask) == "A<|im_end|>"


def test_a_template_that_opens_a_turn_with_more_than_it_keeps(tokenizer):
    thinks = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    thinks += "{% if add_generation_prompt %}<|im_start|>Hm.{% endif %}"
    changed = with_template(tokenizer, thinks)
    ids, mask = encode_pair(changed, "Q", "A")
    assert tokenizer.decode(ids) == "<|im_start|>Q<|im_end|><|im_start|>Hm.A<|im_end|>"
    assert text_of(changed, ids, mask) == "A<|im_end|>"
