"""Images are those of diffusers' own pipeline, requests are checked first, and weights are shared with depth."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="image generation needs the extra 'torch'")

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtAlphaPipeline, PixArtTransformer2DModel
from transformers import AutoTokenizer, T5EncoderModel

from merge_ros.config import BUNDLED_MODEL, EstimatorSettings, GenerationRequest, GeneratorSettings
from merge_ros.errors import CheckpointError, GenerationCancelled, InputError
from merge_ros.estimator import DepthEstimator
from merge_ros.generator import GenerationStep, ImageGenerator
from merge_ros.model.locate import find_model
from merge_ros.runtime.image_engine import ImageEngine
from merge_ros.runtime.torch_device import DTYPES
from merge_ros.runtime.torch_engine import TorchEngine

PROMPT, NEGATIVE = "a Red crate on a grey floor", "a blue ball"
TINY = find_model(BUNDLED_MODEL, ())


def plain_pipeline(folder: Path, dtype: torch.dtype = torch.float32) -> PixArtAlphaPipeline:
    """diffusers' pipeline from the same files, without anything of merge_ros."""
    pipeline = PixArtAlphaPipeline(
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=T5EncoderModel.from_pretrained(folder / "text_encoder", dtype=dtype).eval(),
        vae=AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype).eval(),
        transformer=PixArtTransformer2DModel.from_pretrained(folder / "transformer", torch_dtype=dtype).eval(),
        scheduler=DPMSolverMultistepScheduler.from_pretrained(folder / "scheduler"),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def plain(pipeline: PixArtAlphaPipeline, request: GenerationRequest, output_type: str) -> Any:
    return pipeline(
        request.prompt,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        width=request.width,
        height=request.height,
        generator=torch.Generator().manual_seed(request.seed),
        output_type=output_type,
        use_resolution_binning=False,
        clean_caption=False,
        max_sequence_length=pipeline.tokenizer.model_max_length,
    ).images


def latent_of(engine: ImageEngine, request: GenerationRequest) -> torch.Tensor:
    return engine.draw(request, engine.encode(request), lambda done, preview: None)


def eager(folder: Path | str, **settings: str) -> DepthEstimator:
    return DepthEstimator(
        EstimatorSettings(model=str(folder), backend="torch", torch_mode="eager", device="cpu", **settings)
    )


def addresses(*modules: torch.nn.Module) -> set[int]:
    return {tensor.data_ptr() for module in modules for tensor in (*module.parameters(), *module.buffers())}


@pytest.fixture(scope="module")
def generator(random_image_model: Path) -> ImageGenerator:
    return ImageGenerator(GeneratorSettings(model=str(random_image_model)))


@pytest.mark.parametrize(
    "request_",
    [
        GenerationRequest(PROMPT, seed=3, width=48, height=32, steps=3, guidance=4.0),
        GenerationRequest(PROMPT, NEGATIVE, seed=3, width=32, height=40, steps=4, guidance=7.5),
        GenerationRequest(PROMPT, seed=4, width=32, height=32, steps=2, guidance=1.0),
    ],
)
def test_images_are_those_of_the_plain_pipeline(
    random_image_model: Path, tmp_path: Path, request_: GenerationRequest
) -> None:
    pipeline = plain_pipeline(random_image_model)
    expected, (picture,) = plain(pipeline, request_, "latent"), plain(pipeline, request_, "pil")
    bare = Path(shutil.copytree(random_image_model, tmp_path / "bare"))
    shutil.rmtree(bare / "depth_converters")

    plugged = ImageEngine(GeneratorSettings(model=str(random_image_model)))
    assert torch.equal(latent_of(plugged, request_), expected), "converters plugged in"
    assert np.array_equal(plugged.picture(expected), np.asarray(picture))
    plugged.depth(expected)
    assert torch.equal(latent_of(plugged, request_), expected), "after depth"
    unplugged = ImageEngine(GeneratorSettings(model=str(bare)))
    assert torch.equal(latent_of(unplugged, request_), expected), "no converters at all"
    assert np.array_equal(unplugged.picture(expected), np.asarray(picture))


def test_the_official_form(reference_base: Path, tmp_path: Path) -> None:
    """A backbone that predicts noise and a learned sigma, f = 8, converters of many steps, as MERGE-B has them."""
    from merge_ros.training.architecture import TinyArchitecture, build_text_encoder, build_tokenizer

    folder = Path(shutil.copytree(reference_base, tmp_path / "model"))
    torch.manual_seed(0)
    shape = TinyArchitecture(text_width=24, text_layers=1, vocabulary=96, prompt_tokens=12)
    build_text_encoder(shape).save_pretrained(folder / "text_encoder")
    build_tokenizer(shape, [PROMPT]).save_pretrained(folder / "tokenizer")
    request = GenerationRequest(PROMPT, seed=3, width=48, height=32, steps=3, guidance=4.0, depth=True)
    generator = ImageGenerator(GeneratorSettings(model=str(folder)))
    assert generator.grid == 16
    (image,) = generator(request)
    assert np.array_equal(image.rgb, np.asarray(plain(plain_pipeline(folder), request, "pil")[0]))
    assert image.depth is not None
    assert image.depth.std() > 0


def test_weights_shared_with_depth_give_the_same_images(random_image_model: Path) -> None:
    request = GenerationRequest(PROMPT, seed=3, width=48, height=32, steps=3)
    pipeline = plain_pipeline(random_image_model)
    pipeline.vae.to(memory_format=torch.channels_last)  # as the depth engine runs it
    (image,) = ImageGenerator(GeneratorSettings(model=str(random_image_model)), eager(random_image_model))(request)
    assert np.array_equal(image.rgb, np.asarray(plain(pipeline, request, "pil")[0]))


def test_no_weight_is_loaded_twice_beside_eager_depth(random_image_model: Path) -> None:
    estimator = eager(random_image_model)
    assert isinstance(estimator.engine, TorchEngine)
    checkpoint = estimator.engine.depth_mode.checkpoint
    before = addresses(checkpoint.network, checkpoint.vae)
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    depth = estimator(rgb)

    generator = ImageGenerator(GeneratorSettings(model=str(random_image_model)), estimator)
    assert generator.shares_weights
    assert "shared with depth" in generator.description
    weights = generator._engine.weights  # type: ignore[union-attr]
    generator(GenerationRequest(PROMPT, width=32, height=32, steps=2, depth=True))
    assert addresses(weights.backbone, weights.vae) <= before
    assert weights.depth_mode is estimator.engine.depth_mode
    assert addresses(checkpoint.network, checkpoint.vae) == before, "a switch moves nothing"
    assert np.array_equal(estimator(rgb), depth), "depth afterwards is the same, bit for bit"


def test_a_light_codec_leaves_the_vae_to_images() -> None:
    estimator = eager("merge-tiny", codec="light")
    assert isinstance(estimator.engine, TorchEngine)
    engine = ImageEngine(GeneratorSettings(), estimator.engine)
    assert engine.shares_weights
    assert "VAE of its own" in engine.description
    assert addresses(engine.weights.backbone) <= addresses(estimator.engine.depth_mode.checkpoint.network)


def test_who_cannot_share_says_why(random_image_model: Path) -> None:
    settings = GeneratorSettings(model=str(random_image_model))
    folded = DepthEstimator(EstimatorSettings(model=str(random_image_model), backend="torch", torch_mode="folded"))
    assert "FoldedEngine" in ImageGenerator(settings, folded).description
    assert "another model" in ImageGenerator(settings, eager("merge-tiny")).description
    other = GeneratorSettings(model=str(random_image_model), precision="bf16")
    generator = ImageGenerator(other, eager(random_image_model))
    assert not generator.shares_weights
    assert "asked for in bf16" in generator.description
    assert "no depth engine" in ImageGenerator(settings).description


def test_seeds_count_up_and_give_the_image_again(generator: ImageGenerator) -> None:
    request = GenerationRequest(PROMPT, seed=7, width=32, height=32, steps=2, count=3, depth=True)
    images = generator(request)
    assert [image.request.seed for image in images] == [7, 8, 9]
    assert not np.array_equal(images[0].rgb, images[1].rgb)
    (again,) = generator(images[1].request)
    assert np.array_equal(again.rgb, images[1].rgb)
    assert np.array_equal(again.depth, images[1].depth)  # type: ignore[arg-type]
    assert set(images[0].seconds) == {"text", "denoise", "decode", "depth"}


def test_a_random_seed_is_told(generator: ImageGenerator) -> None:
    request = GenerationRequest(PROMPT, width=32, height=32, steps=2)
    first, second = generator(request)[0], generator(request)[0]
    assert 0 < first.request.seed != second.request.seed > 0
    assert np.array_equal(generator(first.request)[0].rgb, first.rgb)


def test_sizes(generator: ImageGenerator) -> None:
    assert generator.grid == 8
    width, height = generator.native_size
    (image,) = generator(GenerationRequest(PROMPT, steps=2, depth=True))
    assert image.rgb.shape == (height, width, 3)
    assert image.depth is not None
    assert image.depth.shape == (height, width)
    assert image.depth.dtype == np.float32
    assert 0 <= image.depth.min() < image.depth.max() <= 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": "  "}, "prompt is empty"),
        ({"prompt": 3}, "allowed: text"),
        ({"seed": -1}, "seed is -1; allowed: whole numbers from 0"),
        ({"seed": 2**32 - 1, "count": 2}, "largest seed"),
        ({"steps": 1}, "steps is 1; allowed: whole numbers from 2"),
        ({"steps": 2.0}, "steps is 2.0"),
        ({"count": 0}, "count is 0"),
        ({"guidance": 0.5}, "allowed: 1"),
        ({"guidance": float("nan")}, "guidance is nan"),
        ({"guidance": 1.0, "negative_prompt": "fog"}, "needs guidance"),
        ({"width": 64}, "both width and height"),
    ],
)
def test_impossible_requests(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GenerationRequest(**{"prompt": PROMPT, **values})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": "red " * 8}, "prompt has 32 characters; at most 30"),
        ({"negative_prompt": "red " * 8}, "negative_prompt has 32 characters"),
        ({"width": 72, "height": 32}, "width is 72; at most 64"),
        ({"width": 32, "height": 72}, "height is 72"),
        ({"steps": 5}, "steps is 5; at most 4"),
        ({"count": 3}, "count is 3; at most 2"),
        ({"width": 60, "height": 32}, "width is 60; this model makes multiples of 8, such as 56 or 64"),
        ({"width": 32, "height": 4}, "height is 4; this model makes multiples of 8, such as 8"),
        ({"prompt": "an unknown dinosaur"}, "tokens, the model takes at most 16"),
    ],
)
def test_requests_past_the_limits_are_refused_before_any_compute(
    random_image_model: Path, values: dict[str, Any], message: str
) -> None:
    limits = {"max_prompt": 30, "max_side": 64, "max_steps": 4, "max_count": 2}
    generator = ImageGenerator(GeneratorSettings(model=str(random_image_model), **limits))
    told: list[GenerationStep] = []
    with pytest.raises(InputError, match=message):
        generator.stream(
            GenerationRequest(**{"prompt": "a crate", "steps": 2, **values}), lambda step: told.append(step)
        )
    assert not told


def test_depth_needs_converters(random_image_model: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(random_image_model, tmp_path / "bare"))
    shutil.rmtree(bare / "depth_converters")
    generator = ImageGenerator(GeneratorSettings(model=str(bare)))
    with pytest.raises(InputError, match="no depth_converters"):
        generator(GenerationRequest(PROMPT, steps=2, depth=True))
    converters = str(random_image_model)
    generator = ImageGenerator(GeneratorSettings(model=str(bare), converters=converters))
    assert generator(GenerationRequest(PROMPT, width=32, height=32, steps=2, depth=True))[0].depth is not None


def test_steps_are_told_and_can_cancel(generator: ImageGenerator) -> None:
    request = GenerationRequest(PROMPT, seed=1, width=32, height=32, steps=3, count=2, depth=True)
    told: list[GenerationStep] = []
    images = generator(request, lambda step: told.append(step))
    each = [("denoise", 1), ("denoise", 2), ("denoise", 3), ("decode", 3), ("depth", 3)]
    assert [(step.stage, step.step) for step in told] == [("text", 0), *each, *each]
    assert [step.fraction for step in told if step.stage == "denoise"] == pytest.approx([n / 6 for n in range(1, 7)])

    def cancel_at_second(step: GenerationStep) -> bool:
        return not (step.image == 1 and step.step == 2)

    with pytest.raises(GenerationCancelled, match="denoise of image 2 of 2, step 2 of 3"):
        generator(request, cancel_at_second)

    def fail(step: GenerationStep) -> None:
        raise RuntimeError("somebody else's")

    with pytest.raises(RuntimeError, match="somebody else's"):
        generator(request, fail)
    assert np.array_equal(generator(request)[1].rgb, images[1].rgb), "nothing of it is left"


def test_previews_come_to_the_image(generator: ImageGenerator) -> None:
    request = GenerationRequest(PROMPT, seed=1, width=32, height=32, steps=4)
    previews: list[np.ndarray] = []

    def look(step: GenerationStep) -> None:
        if step.preview is not None:
            previews.append(step.preview())

    (image,) = generator(request, look)
    assert len(previews) == 4
    assert np.array_equal(previews[-1], image.rgb), "after the last step, what is predicted is what there is"
    assert np.array_equal(generator(request)[0].rgb, image.rgb), "looking changes nothing"


def test_depth_may_run_between_the_steps(random_image_model: Path) -> None:
    estimator = eager(random_image_model)
    generator = ImageGenerator(GeneratorSettings(model=str(random_image_model)), estimator)
    request = GenerationRequest(PROMPT, seed=1, width=32, height=32, steps=3)
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    depth, image = estimator(rgb), generator(request)[0]
    between: list[np.ndarray] = []
    interleaved = generator(request, lambda step: between.append(estimator(rgb)))[0]
    assert np.array_equal(interleaved.rgb, image.rgb)
    assert all(np.array_equal(other, depth) for other in between)


def test_the_text_encoder_comes_on_demand_and_goes(random_image_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(random_image_model, tmp_path / "model"))
    encoder = folder / "text_encoder" / "model.safetensors"
    away = tmp_path / "model.safetensors"
    first, second, third = (
        GenerationRequest(prompt, seed=1, width=32, height=32, steps=2, guidance=1.0) for prompt in ("a", "red", "ball")
    )
    generator = ImageGenerator(GeneratorSettings(model=str(folder), cached_prompts=2))
    expected = [generator(request)[0].rgb for request in (first, second)]
    encoder.rename(away)
    assert np.array_equal(generator(first)[0].rgb, expected[0]), "embeddings are remembered"
    with pytest.raises(CheckpointError, match="text encoder"):
        generator(third)
    away.rename(encoder)
    generator(third)
    encoder.rename(away)
    generator(first)
    with pytest.raises(CheckpointError, match="text encoder"):
        generator(second)  # forgotten: it was used longest ago

    away.rename(encoder)
    keeping = ImageGenerator(GeneratorSettings(model=str(folder), keep_text_encoder=True, cached_prompts=0))
    keeping(first)
    encoder.unlink()
    assert np.array_equal(keeping(second)[0].rgb, expected[1])


def test_closed(random_image_model: Path) -> None:
    generator = ImageGenerator(GeneratorSettings(model=str(random_image_model)))
    generator.close()
    generator.close()
    with pytest.raises(InputError, match="closed"):
        generator(GenerationRequest(PROMPT))


def test_what_cannot_be_loaded(random_model: Path, random_image_model: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        ImageGenerator(GeneratorSettings(model="/nowhere"))
    with pytest.raises(CheckpointError, match="prompts cannot be encoded"):
        ImageGenerator(GeneratorSettings(model=str(random_model)))
    broken = Path(shutil.copytree(random_image_model, tmp_path / "broken"))
    (broken / "tokenizer" / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="tokenizer"):
        ImageGenerator(GeneratorSettings(model=str(broken)))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_is_the_plain_pipelines_too(random_image_model: Path, precision: str) -> None:
    request = GenerationRequest(PROMPT, NEGATIVE, seed=3, width=48, height=32, steps=3)
    engine = ImageEngine(GeneratorSettings(model=str(random_image_model), precision=precision))
    expected = plain(plain_pipeline(random_image_model, DTYPES[precision]), request, "latent")
    assert expected.dtype == DTYPES[precision]
    assert torch.equal(latent_of(engine, request), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_takes_half_precision_and_gives_the_plain_pipelines_latents(random_image_model: Path) -> None:
    request = GenerationRequest(PROMPT, NEGATIVE, seed=3, width=48, height=32, steps=3)
    engine = ImageEngine(GeneratorSettings(model=str(random_image_model), device="cuda"))
    assert engine.precision == "fp16"
    expected = plain(plain_pipeline(random_image_model, torch.float16).to("cuda"), request, "latent")
    assert torch.equal(latent_of(engine, request), expected)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_is_near(random_image_model: Path, generator: ImageGenerator, precision: str) -> None:
    other = ImageGenerator(GeneratorSettings(model=str(random_image_model), precision=precision))
    assert precision in other.description
    request = GenerationRequest(PROMPT, seed=1, width=32, height=32, steps=2, depth=True)
    (near,), (exact,) = other(request), generator(request)
    assert 0 < np.abs(near.rgb.astype(int) - exact.rgb).max() < 20
    assert np.abs(near.depth - exact.depth).max() < 0.1  # type: ignore[operator]


def test_the_model_hash_follows_the_weights(random_image_model: Path, tmp_path: Path) -> None:
    about = ImageGenerator(GeneratorSettings(model=str(random_image_model))).about()
    assert about["precision"] == "fp32"
    copied = Path(shutil.copytree(random_image_model, tmp_path / "copy"))
    same = ImageGenerator(GeneratorSettings(model=str(copied))).about()
    assert same["model_hash"] == about["model_hash"]
    shutil.copy(random_image_model / "vae" / "config.json", copied / "depth_converters" / "more.json")
    assert ImageGenerator(GeneratorSettings(model=str(copied))).about()["model_hash"] != about["model_hash"]


def test_merge_tiny_images_are_diffusers_own() -> None:
    request = GenerationRequest("a red crate on a wooden floor", seed=1, width=256, height=192, steps=8, depth=True)
    generator = ImageGenerator()
    assert generator.native_size == (256, 192)
    (image,) = generator(request)
    assert np.array_equal(image.rgb, np.asarray(plain(plain_pipeline(TINY), request, "pil")[0]))
    # Depth straight from the latent is about that of the picture, although eight steps give a poor one.
    assert image.depth is not None
    over_pixels = eager("merge-tiny", codec="full")(image.rgb)  # through the VAE that made the picture
    assert np.corrcoef(image.depth.ravel(), over_pixels.ravel())[0, 1] > 0.8


def test_depth_from_a_latent_needs_no_pixels() -> None:
    """The latent of a true picture, against the way over the pixels: decode, round to bytes, encode, estimate."""
    pytest.importorskip("rosbags", reason="the picture comes from the recording of merge_ros[demo]")
    from merge_ros.demo.bag import BUNDLED_RECORDING, Recording
    from merge_ros.model.autoencoder import encode

    rgb = cv2.resize(next(iter(Recording(BUNDLED_RECORDING).frames())).rgb, (256, 192), interpolation=cv2.INTER_AREA)
    estimator = eager("merge-tiny", codec="full")
    assert isinstance(estimator.engine, TorchEngine)
    engine = ImageEngine(GeneratorSettings(), estimator.engine)
    with torch.inference_mode():
        pixels = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 127.5 - 1
        latent = encode(estimator.engine.depth_mode.checkpoint.vae, pixels)
    assert np.array_equal(engine.depth(latent), estimator(rgb)), "the same latent, the same depth"
    over_pixels = estimator(engine.picture(latent))
    assert np.abs(engine.depth(latent) - over_pixels).mean() < 0.02
