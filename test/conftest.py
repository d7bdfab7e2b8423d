"""Fixtures that several test folders share."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from ros2_real import ros2_real as ros2_real  # a fixture; pytest finds it by its name here

# A shell without job control starts background jobs (`make test &`) deaf to SIGINT, and so would be every process that
# a test starts and then interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Processes that run tests side by side would wake more threads than there are cores, and waiting threads spin. Before
# torch is imported; what the tests start inherits it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent
REFERENCE = REPOSITORY.parent / "shared" / "reference"


@pytest.fixture(scope="session")
def reference_base() -> Path:
    """A tiny MERGE-B in the authors' layout with tensors recorded from the authors' code."""
    folder = REFERENCE / "merge_base"
    if not folder.is_dir():
        pytest.skip(f"the recorded reference tensors are not here: {folder}")
    return folder


@pytest.fixture(scope="session")
def reference_large() -> Path:
    """The same of MERGE-L: both networks, without an autoencoder."""
    folder = REFERENCE / "merge_large"
    if not folder.is_dir():
        pytest.skip(f"the recorded reference tensors are not here: {folder}")
    return folder


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete one-step model of a few thousand seeded random weights, in the official folder layout."""
    torch = pytest.importorskip("torch")
    from diffusers import DPMSolverMultistepScheduler, PixArtTransformer2DModel
    from tiny_models import tiny_vae

    from merge_ros.model.conditioning import Conditioning
    from merge_ros.model.converter import PixArtConverter
    from merge_ros.model.empty_prompt import save_empty_prompt

    folder = tmp_path_factory.mktemp("random_model")
    torch.manual_seed(0)
    backbone = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=4,
        num_layers=4,
        cross_attention_dim=16,
        caption_channels=12,
        sample_size=16,
        patch_size=2,
    )
    vae = tiny_vae()
    converter = PixArtConverter.for_backbone(backbone, 2)
    backbone.save_pretrained(folder / "transformer")
    vae.save_pretrained(folder / "vae")
    converter.save_pretrained(folder / "depth_converters")
    DPMSolverMultistepScheduler().save_pretrained(folder / "scheduler")
    save_empty_prompt(Conditioning(torch.randn(1, 1, 12), torch.ones(1, 1)), folder / "depth_converters")
    return folder


@pytest.fixture(scope="session")
def random_image_model(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`random_model` with a text encoder and a tokenizer of a few words, so that it makes images too."""
    torch = pytest.importorskip("torch")
    from merge_ros.training.architecture import TinyArchitecture, build_text_encoder, build_tokenizer

    folder = tmp_path_factory.mktemp("random_image_model")
    shutil.copytree(random_model, folder, dirs_exist_ok=True)
    torch.manual_seed(1)
    shape = TinyArchitecture(text_width=12, text_layers=1, vocabulary=96, prompt_tokens=16)
    build_text_encoder(shape).save_pretrained(folder / "text_encoder")
    build_tokenizer(shape, ["a red crate and a blue ball on a grey floor"]).save_pretrained(folder / "tokenizer")
    return folder
