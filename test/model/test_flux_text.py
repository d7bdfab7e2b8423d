"""The words of FLUX: T5 on padded text, and CLIP's embedding of the whole, as the two encoders give them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("transformers")

import torch
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from merge_ros.config import BUNDLED_MODEL
from merge_ros.errors import CheckpointError
from merge_ros.model.flux_text import TOKENS_DEV, TOKENS_SCHNELL, encode_flux_prompt
from merge_ros.model.locate import find_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny encoders with random weights; both read with merge-tiny's tokenizer."""
    model = tmp_path_factory.mktemp("text")
    shipped = find_model(BUNDLED_MODEL, ()) / "tokenizer"
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(shipped, model / name)
    settings = model / "tokenizer" / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_max_length": 77}))
    torch.manual_seed(0)
    words = len(AutoTokenizer.from_pretrained(shipped))
    clip = CLIPTextConfig(
        vocab_size=words,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        eos_token_id=1,
    )
    CLIPTextModel(clip).save_pretrained(model / "text_encoder")
    t5 = T5Config(vocab_size=words, d_model=24, d_kv=8, d_ff=16, num_layers=2, num_heads=2)
    T5EncoderModel(t5).save_pretrained(model / "text_encoder_2")
    (model / "transformer").mkdir()
    return model


@pytest.mark.parametrize(("guidance", "tokens"), [(True, TOKENS_DEV), (False, TOKENS_SCHNELL)])
@pytest.mark.parametrize("prompt", ["", "a room with a red wall"])
def test_embeddings(folder: Path, guidance: bool, tokens: int, prompt: str) -> None:
    (folder / "transformer" / "config.json").write_text(json.dumps({"guidance_embeds": guidance}))
    found = encode_flux_prompt(folder, prompt, torch.float32)

    def ids(name: str, length: int) -> torch.Tensor:
        tokenizer = AutoTokenizer.from_pretrained(folder / name)
        return tokenizer(prompt, padding="max_length", max_length=length, return_tensors="pt").input_ids

    with torch.no_grad():
        text = T5EncoderModel.from_pretrained(folder / "text_encoder_2")(ids("tokenizer_2", tokens))[0]
        pooled = CLIPTextModel.from_pretrained(folder / "text_encoder")(ids("tokenizer", 77)).pooler_output
    assert found.text.shape == (1, tokens, 24)
    assert torch.allclose(found.text, text, atol=1e-6)
    assert found.pooled is not None
    assert torch.allclose(found.pooled, pooled, atol=1e-6)
    assert bool((found.mask == 1).all()), "FLUX reads its padding"


def test_parts_that_are_missing_or_damaged(folder: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(folder, tmp_path / "model"))
    shutil.rmtree(model / "tokenizer_2")
    with pytest.raises(CheckpointError, match=r"tokenizer_2 does not exist"):
        encode_flux_prompt(model, "", torch.float32)
    shutil.copytree(folder / "tokenizer_2", model / "tokenizer_2")
    (model / "text_encoder_2" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"text encoders of .* cannot be loaded"):
        encode_flux_prompt(model, "", torch.float32)
