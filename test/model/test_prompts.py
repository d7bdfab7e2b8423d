"""Prompts are embedded as diffusers embeds them, also with the tokenizer that PixArt comes with."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="prompts are encoded with the extra 'torch'")

import torch

from merge_ros.errors import InputError, MissingDependencyError
from merge_ros.model.prompts import PromptEncoder
from merge_ros.model.text_encoder import load_tokenizer

TEXTS = ("a red crate on a wooden floor", "a blue ball before a white wall", "a green mug and an orange cone")


@pytest.fixture(scope="module")
def pixart_layout(random_image_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose tokenizer has the files of PixArt-XL-2-512x512: T5's vocabulary as SentencePiece."""
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = Path(shutil.copytree(random_image_model, tmp_path_factory.mktemp("pixart") / "model"))
    shutil.rmtree(folder / "tokenizer")
    (folder / "tokenizer").mkdir()
    vocabulary = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 8),
        model_writer=vocabulary,
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "tokenizer" / "spiece.model").write_bytes(vocabulary.getvalue())
    extra = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    config = {**extra, "extra_ids": 0, "model_max_length": 64, "tokenizer_class": "T5Tokenizer", "legacy": True}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "tokenizer" / "special_tokens_map.json").write_text(json.dumps(extra))
    return folder


def encoder(folder: Path) -> PromptEncoder:
    return PromptEncoder(folder, torch.device("cpu"), torch.float32, keep=False, cached=4)


def test_the_tokenizer_of_pixart(pixart_layout: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    own = sentencepiece.SentencePieceProcessor(str(pixart_layout / "tokenizer" / "spiece.model"))
    tokenizer = load_tokenizer(pixart_layout)
    for text in TEXTS:
        assert tokenizer(text).input_ids == [*own.encode(text), 1], "the end of the sentence behind it"
    prompts = encoder(pixart_layout)
    assert prompts.max_tokens == 64
    (found,) = prompts.encode(TEXTS[0].upper())
    assert found.text.shape == (1, 64, 12)
    assert found.valid_tokens() == len(own.encode(TEXTS[0])) + 1
    with pytest.raises(InputError, match="tokens, the model takes at most 64"):
        prompts.check(" ".join(TEXTS * 4))


def test_without_sentencepiece_the_extra_is_named(pixart_layout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sentencepiece" else found(name))
    with pytest.raises(MissingDependencyError, match=r"'sentencepiece'.*merge_ros\[torch\]"):
        load_tokenizer(pixart_layout)


def test_the_text_encoder_is_in_memory_only_while_it_works(random_image_model: Path) -> None:
    prompts = encoder(random_image_model)
    assert not prompts.is_loaded
    first = prompts.encode("a red crate", "")
    assert not prompts.is_loaded
    again = prompts.encode("a red crate")
    assert again[0] is first[0]
    assert first[1].valid_tokens() == 1, "the empty prompt is the end of a sentence"
    keeping = PromptEncoder(random_image_model, torch.device("cpu"), torch.float32, keep=True, cached=4)
    keeping.encode("a red crate")
    assert keeping.is_loaded
    keeping.release()
    assert not keeping.is_loaded
