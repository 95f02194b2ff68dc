import json
from importlib import import_module

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from unflaw._errors import ModelCallError, SpecError
from unflaw.models import Classifier, encode_texts, open_classifier, open_trainable_classifier, writes_text

TEXTS = ["The river is long and the city is old.", "Water", "People of the world"]


@pytest.fixture
def trained(tiny_encoder, tmp_path):
    model, tokenizer, _ = open_trainable_classifier(f"hf:{tiny_encoder}", ["no", "yes", "perhaps"], seed=3)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_it_answers_as_transformers_does_one_by_one(trained):
    model = open_classifier(f"hf:{trained}")
    assert isinstance(model, Classifier) and model.labels == ("no", "yes", "perhaps")
    slow, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(trained),
        AutoTokenizer.from_pretrained(trained),
    )
    with torch.no_grad():
        z = np.concatenate([slow.eval()(**tokenizer(t, return_tensors="pt")).logits.numpy() for t in TEXTS])
    assert model.logits(TEXTS) == pytest.approx(z, abs=1e-5)
    p = model.predict_proba(TEXTS)
    assert p.sum(axis=1) == pytest.approx(np.ones(3)) and p.argmax(axis=1).tolist() == z.argmax(axis=1).tolist()


def test_company_and_order_change_nothing(trained):
    model = open_classifier(f"hf:{trained}")
    model.batch_tokens = 8
    alone = np.concatenate([model.logits([t]) for t in TEXTS])
    assert model.logits(TEXTS) == pytest.approx(alone, abs=1e-5)
    assert model.logits(TEXTS[::-1]) == pytest.approx(alone[::-1], abs=1e-5)
    assert model.logits([]).shape == (0, 3)


def test_long_texts_are_cut_and_progress_is_told(trained):
    model, told = open_classifier(f"hf:{trained}", max_tokens=16), []
    long = "river " * 500
    assert model.logits([long, long + "city"], progress=lambda *done: told.append(done)).shape == (2, 3)
    assert told[-1] == (2, 2)


def test_texts_encoded_in_slices_are_those_encoded_at_once(trained, monkeypatch):
    tokenizer = AutoTokenizer.from_pretrained(trained)
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    for texts in (TEXTS, pairs):
        whole = tokenizer(*([texts] if texts is TEXTS else map(list, zip(*texts, strict=True))))
        monkeypatch.setattr(import_module("unflaw.models._classifiers"), "_ENCODED_AT_ONCE", 2)
        parts = encode_texts(tokenizer, texts, 64)
        assert [f["input_ids"].tolist() for f in parts] == whole["input_ids"]
        assert [f["token_type_ids"].tolist() for f in parts] == whole["token_type_ids"]


def test_a_classifier_that_fell_apart_says_so(trained):
    model = open_classifier(f"hf:{trained}")
    torch.nn.init.constant_(model.model.classifier.bias, float("nan"))
    with pytest.raises(ModelCallError, match="gives no numbers"):
        model.predict_proba(TEXTS)


def test_a_new_head_is_drawn_from_the_seed_alone(tiny_encoder):
    heads = []
    for seed in (0, 0, 1):
        torch.rand(seed + 5)  # whatever was drawn before
        model, _, goes_on = open_trainable_classifier(f"hf:{tiny_encoder}", ["a", "b"], seed=seed)
        heads.append(model.classifier.weight)
        assert not goes_on
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


@pytest.fixture
def language_model(tiny, tmp_path):
    for part in tiny:
        part.save_pretrained(tmp_path / "causal")
    return tmp_path / "causal"


def test_a_language_model_can_become_a_classifier(language_model):
    model, tokenizer, _ = open_trainable_classifier(f"hf:{language_model}", ["a", "b"])
    ids = tokenizer(TEXTS, padding=True, return_tensors="pt")
    assert model(**ids).logits.shape == (3, 2)


def test_what_is_no_classifier_is_refused(tiny_encoder, tmp_path):
    with pytest.raises(SpecError, match="is no classifier"):
        open_classifier(f"hf:{tiny_encoder}")
    with pytest.raises(SpecError, match="existing folder"):
        open_classifier(f"hf:{tmp_path}/gone")
    for spec in ("potion", "openai:x@http://localhost:1/v1"):
        with pytest.raises(SpecError, match="cannot become a classifier"):
            open_trainable_classifier(spec, ["a", "b"])


def test_models_that_write_are_told_from_those_that_do_not(language_model, tiny_encoder, trained):
    assert writes_text(f"hf:{language_model}") and writes_text("smollm2")
    assert not writes_text(f"hf:{tiny_encoder}") and not writes_text("minilm") and not writes_text(str(trained))
    assert json.loads((trained / "config.json").read_text())["id2label"] == {"0": "no", "1": "yes", "2": "perhaps"}


@pytest.mark.slow
def test_the_embedded_encoder_becomes_a_classifier():
    model, tokenizer, goes_on = open_trainable_classifier("minilm", ["a", "b"])
    assert not goes_on and model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits.shape == (3, 2)
