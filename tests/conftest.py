"""Tests see no network beyond this machine, no keys, and no choices of the person who runs them."""

import importlib
import os
import socket
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[1] / "studies"

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side, one process a core
for name in [name for name in os.environ if name.endswith("_API_KEY")]:
    del os.environ[name]


def pytest_collection_modifyitems(items):
    """Ask slow files first: dealt out last, one would keep a worker busy while the others wait."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _stay_on_this_machine(request, monkeypatch):
    if "network" in request.keywords:
        return
    connect = socket.socket.connect

    def refuse_strangers(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "localhost", "::1"):
            raise AssertionError(f"a test reached for the network: {address}; mark it `network` or use a fake")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse_strangers)


@pytest.fixture
def load_study(monkeypatch):
    """Load scripts of a study by name, and forget them afterwards: studies call theirs alike."""

    def forget():
        for name, module in list(sys.modules.items()):
            if STUDIES in Path(getattr(module, "__file__", None) or "").parents:
                del sys.modules[name]

    def load(study, *names):
        forget()
        monkeypatch.syspath_prepend(str(STUDIES / study))
        return [importlib.import_module(name) for name in names]

    yield load
    forget()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A tiny real Llama: every code path of a large model, in milliseconds.

    Its tokenizer is the embedded one, learnt anew with a twelfth of the words: loading all would be most of a test.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from unflaw.models import embedded_checkpoint

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(embedded_checkpoint())
    rows = [path.read_text() for path in sorted((STUDIES.parent / "examples" / "data").glob("*.jsonl"))]
    tokenizer = tokenizer.train_new_from_iterator([*rows, *[tokenizer.chat_template] * 99], vocab_size=4096)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    """A tiny real BERT with word pieces of its own: what a classifier can be trained from in a second."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from unflaw.models._embedded import asset_folder

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny-encoder")
    tokenizer = AutoTokenizer.from_pretrained(asset_folder("minilm"))
    rows = [path.read_text() for path in sorted((STUDIES.parent / "examples" / "data").glob("*.jsonl"))]
    tokenizer = tokenizer.train_new_from_iterator(rows, vocab_size=2048)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        initializer_range=0.1, max_position_embeddings=64, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
