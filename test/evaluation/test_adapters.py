"""diffusers' and transformers' own pipelines, tiny and random, through the adapters: the same numbers as without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the adapters need the extra 'torch'")
pytest.importorskip("transformers", reason="the adapters need the extra 'torch'")

import torch

from merge_ros.config import EstimatorSettings
from merge_ros.errors import ConfigurationError
from merge_ros.evaluation.adapters import transformers_depth
from merge_ros.evaluation.ensemble import with_ensemble
from merge_ros.evaluation.models import load_depth_model, load_normals_model

RGB = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)


def save_marigold(folder: Path, kind: str, prediction_type: str) -> None:
    """A Marigold of a few thousand random weights, with all the parts that the pipeline wants."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    (folder / "words").mkdir(parents=True)
    words = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}
    (folder / "words" / "vocab.json").write_text(json.dumps(words))
    (folder / "words" / "merges.txt").write_text("#version: 0.2\n")
    vae = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, layers_per_block=1)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 8),
        layers_per_block=1,
        sample_size=16,
        in_channels=8,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        norm_num_groups=4,
        attention_head_dim=4,
    )
    text = CLIPTextConfig(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        vocab_size=3,
        bos_token_id=0,
        eos_token_id=1,
    )
    pipeline = getattr(diffusers, kind)(
        unet=unet,
        vae=vae,
        scheduler=diffusers.DDIMScheduler(prediction_type="v_prediction", clip_sample=False),
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "words", model_max_length=77),
        prediction_type=prediction_type,
        default_denoising_steps=2,
        default_processing_resolution=24,
    )
    pipeline.save_pretrained(folder / "model")


def test_marigold_depth(tmp_path: Path) -> None:
    from diffusers import MarigoldDepthPipeline

    save_marigold(tmp_path, "MarigoldDepthPipeline", "disparity")
    model = load_depth_model(EstimatorSettings(model=f"diffusers:{tmp_path / 'model'}", device="cpu"))
    assert (model.name, model.space) == ("diffusers:model", "disparity")
    found = model.estimate(RGB)
    plain = MarigoldDepthPipeline.from_pretrained(tmp_path / "model")
    plain.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(0)
    expected = plain(RGB / np.float32(255), processing_resolution=0, generator=noise).prediction[0, :, :, 0]
    assert found.shape == (32, 48)
    assert np.array_equal(found, expected)
    assert np.array_equal(model.estimate(RGB), found)
    assert model.reseed is not None
    model.reseed(1)
    assert not np.array_equal(model.estimate(RGB), found)
    assert with_ensemble(model, 3).estimate(RGB).shape == (32, 48)
    more = load_depth_model(EstimatorSettings(model=f"diffusers:{tmp_path / 'model'}", device="cpu", steps=4))
    assert not np.array_equal(more.estimate(RGB), found)
    with pytest.raises(ConfigurationError, match="holds a MarigoldDepthPipeline; allowed here: a MarigoldN"):
        load_normals_model(EstimatorSettings(model=f"diffusers:{tmp_path / 'model'}", device="cpu"))


def test_marigold_normals(tmp_path: Path) -> None:
    from diffusers import MarigoldNormalsPipeline

    save_marigold(tmp_path, "MarigoldNormalsPipeline", "normals")
    model = load_normals_model(EstimatorSettings(model=f"diffusers:{tmp_path / 'model'}", device="cpu"))
    found = model.estimate(RGB)
    plain = MarigoldNormalsPipeline.from_pretrained(tmp_path / "model")
    plain.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(0)
    expected = plain(RGB / np.float32(255), processing_resolution=0, generator=noise).prediction[0]
    assert found.shape == (32, 48, 3)
    assert np.array_equal(found, expected * [1, -1, -1])  # Marigold's y is up and its z towards the camera


def save_dpt(folder: Path) -> None:
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessorPil

    torch.manual_seed(0)
    config = DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
        is_hybrid=False,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
    )
    DPTForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)


def test_transformers_depth(tmp_path: Path) -> None:
    from PIL import Image
    from transformers import pipeline

    save_dpt(tmp_path / "dpt")
    model = load_depth_model(EstimatorSettings(model=f"transformers:{tmp_path / 'dpt'}", device="cpu"))
    assert (model.name, model.space, model.reseed) == ("transformers:dpt", "disparity", None)
    found = model.estimate(RGB)
    expected = pipeline("depth-estimation", model=str(tmp_path / "dpt"))(Image.fromarray(RGB))["predicted_depth"]
    assert found.shape == (32, 48)
    assert np.array_equal(found, expected.squeeze().numpy())
    assert transformers_depth(str(tmp_path / "dpt"), "cpu", "depth").space == "depth"


def test_folders_that_are_not_right(tmp_path: Path) -> None:
    for kind, file in (("diffusers", "model_index.json"), ("transformers", "config.json")):
        with pytest.raises(ConfigurationError, match=f"has no {file}"):
            load_depth_model(EstimatorSettings(model=f"{kind}:{tmp_path}"))
        (tmp_path / file).write_text("{}")
        with pytest.raises(ConfigurationError, match=r"is no |holds a None"):
            load_depth_model(EstimatorSettings(model=f"{kind}:{tmp_path}", device="cpu"))
