"""One tiny llama with SmolLM2's tokenizer for almost everything, and the real model for the rest."""

import pytest


@pytest.fixture(scope="session")
def smollm2():
    """The embedded model as torch: (model, tokenizer)."""
    from unflaw.models import open_causal

    return open_causal("smollm2")


@pytest.fixture(scope="session")
def tokenizer():
    from transformers import AutoTokenizer

    from unflaw.models import embedded_checkpoint

    return AutoTokenizer.from_pretrained(embedded_checkpoint())


def random_llama(seed=0, **settings):
    """Two layers of random weights, large enough that greedy choices are no ties."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=49152, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
        pad_token_id=2, initializer_range=0.3, **settings,
    )  # fmt: skip
    torch.manual_seed(seed)
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def tiny(tokenizer):
    """(model, tokenizer): nonsense, but of the embedded model's architecture and vocabulary."""
    return random_llama(), tokenizer


@pytest.fixture(scope="session")
def tiny_folder(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    for part in tiny:
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gguf(tiny, tmp_path_factory):
    from unflaw.models import export_gguf

    return export_gguf(tiny, tmp_path_factory.mktemp("gguf") / "tiny.gguf", quantization="f32")
