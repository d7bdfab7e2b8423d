"""The small parts that training stands on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from merge_ros.errors import ConfigurationError, DatasetError
from merge_ros.evaluation.metrics import aligned_metrics
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import ground_depth
from merge_ros.model.converter import PixArtConverter
from merge_ros.training.architecture import (
    TinyArchitecture,
    build_text_encoder,
    build_tokenizer,
    build_transformer,
    build_vae,
    parameter_count,
)
from merge_ros.training.compute import Worker
from merge_ros.training.data import depth_range, normalise_depth, pack
from merge_ros.training.depth_converters import new_converter
from merge_ros.training.depth_losses import abs_rel, align, floor_error, outline_error
from merge_ros.training.latents import LatentStore
from merge_ros.training.run import RunSettings
from merge_ros.training.text_to_image import TokenisedCaptions, draw_timesteps
from merge_ros.training.train_tiny import planned_steps

CAPTIONS = ("a room with white walls and a red box", "a corridor with a blue ball")


def test_all_parts_fit_into_32_megabytes_of_fp16() -> None:
    shape = TinyArchitecture()
    transformer = build_transformer(shape)
    converter = PixArtConverter.for_backbone(transformer, shape.groups, ff_mult=shape.ff_mult)
    assert 2 * parameter_count(build_vae(shape), transformer, build_text_encoder(shape), converter) < 32e6


def test_impossible_architectures_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="multiple of heads"):
        TinyArchitecture(width=250)
    with pytest.raises(ConfigurationError, match="groups=9"):
        TinyArchitecture(groups=9)


def test_empty_prompt_is_one_token_and_unknown_words_are_spelt() -> None:
    tokenizer = build_tokenizer(TinyArchitecture(), CAPTIONS)
    assert tokenizer("").input_ids == [tokenizer.eos_token_id]
    assert tokenizer.unk_token_id not in tokenizer("a zebra").input_ids
    assert tokenizer("a RED box").input_ids == tokenizer("a red box").input_ids
    assert len(tokenizer("red").input_ids) == 2


def test_dropped_captions_become_the_empty_prompt() -> None:
    tokenizer = build_tokenizer(TinyArchitecture(), CAPTIONS)
    captions = TokenisedCaptions.of(CAPTIONS, tokenizer)
    ids, mask = captions.batch(np.array([0, 1]), np.array([True, False]))
    assert mask[0].sum() == 1
    assert ids[0, 0] == tokenizer.eos_token_id
    assert mask[1].sum() == len(tokenizer(CAPTIONS[1]).input_ids)
    assert ids.shape == mask.shape == (2, tokenizer.model_max_length)  # one shape, whatever the captions


def test_new_converter_sees_the_image_as_the_backbone_does() -> None:
    shape = TinyArchitecture(width=32, heads=2, layers=4, groups=2)
    backbone = build_transformer(shape)
    converter = new_converter(backbone, shape)
    image = torch.randn(1, 4, 16, 16)
    joined = torch.cat([image, torch.randn(1, 4, 16, 16)], 1)
    assert torch.allclose(converter.pos_embed(joined), backbone.pos_embed(image), atol=1e-5)


def test_depth_is_normalised_by_its_quantiles() -> None:
    metres = np.linspace(1, 5, 10_000, dtype=np.float32).reshape(100, 100)
    near, far = depth_range(metres)
    assert (near, far) == (pytest.approx(1.08, abs=0.01), pytest.approx(4.92, abs=0.01))
    normalised = normalise_depth(metres, near, far)
    assert (normalised.min(), normalised.max()) == (-1, 1)
    assert normalised[50, 0] == pytest.approx(0, abs=0.01)
    with pytest.raises(DatasetError, match="flat"):
        depth_range(np.ones((4, 4), np.float32))


def test_packed_frames_are_the_files(frames_folder: Path, tmp_path: Path) -> None:
    data = pack(frames_folder, tmp_path, 5)
    assert len(data) == 5
    assert data.size == (64, 64)
    assert data.images(np.array([0, 3])).shape == (2, 3, 64, 64)
    depth = data.depths(np.array([2]))
    assert (float(depth.min()), float(depth.max())) == (-1, 1)
    metres = data.metres[2, 0] + (depth[0, 0, 63, 0] / 2 + 0.5) * (data.metres[2, 1] - data.metres[2, 0])
    assert float(metres) == pytest.approx(1.0, abs=0.02)
    with pytest.raises(DatasetError):
        pack(tmp_path, tmp_path)


def test_pixel_loss_is_the_metric_and_ignores_scale_and_shift() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, (2, 20, 30)).astype(np.float32)
    predicted = truth + rng.normal(0, 0.3, truth.shape).astype(np.float32)
    everywhere = np.ones_like(truth[0], bool)
    expected = np.mean(
        [aligned_metrics(p, t, everywhere, (0.0, 99.0)).abs_rel for p, t in zip(predicted, truth, strict=True)]
    )
    metres = torch.from_numpy(truth)
    for same_up_to_scale_and_shift in (predicted, predicted * 3 - 7):
        loss = abs_rel(align(torch.from_numpy(same_up_to_scale_and_shift), metres), metres)
        assert float(loss) == pytest.approx(expected, rel=1e-3)


def test_floor_is_found_at_its_closed_form_depth(frames_folder: Path, tmp_path: Path) -> None:
    data = pack(frames_folder, tmp_path, 12)
    depth = ground_depth(Camera.from_fov(64, 64, 1.2), 0.5, 0.1, 0.05)
    metres = torch.from_numpy(np.where(depth < 5, depth, 0.4)).float()
    metres[40:, 20:30] = 0.4  # a box
    floor = torch.from_numpy(depth < 5)
    floor[40:, 20:30] = False
    rows = np.array([3, 3 + len(data)])
    found = data.on_floor(rows, torch.stack([metres, metres.flip(-1)])).bool()
    assert 0.2 < float(floor.float().mean()) < 0.6
    assert torch.equal(found[0], floor)
    assert torch.equal(found[1], floor.flip(-1))
    halved = torch.nn.functional.avg_pool2d(metres[None], 2)
    same = data.on_floor(rows[:1], halved)[0] == torch.nn.functional.avg_pool2d(floor[None].float(), 2)[0]
    assert float(same.float().mean()) > 0.9  # all but where a pixel of half the size mixes two things


def test_floor_error_wants_walls_on_one_line_with_the_floor() -> None:
    floor = torch.zeros(2, 20, 30)
    floor[0, 10:] = 1  # the second frame shows none: it does not count
    metres = torch.linspace(5, 1, 20)[None, :, None].expand(2, 20, 30).clone()
    too_far = metres.clone()
    too_far[:, :10] *= 1.5
    assert float(floor_error(3 * metres - 7, metres, floor)) == pytest.approx(0, abs=1e-3)
    assert float(floor_error(3 * too_far - 7, metres, floor)) == pytest.approx(0.5 / 1.5 / 2, rel=1e-2)
    assert float(floor_error(too_far, metres, torch.zeros_like(floor))) == 0


def test_outline_error_sees_blurred_edges_and_not_a_common_factor() -> None:
    metres = torch.ones(1, 32, 32)
    metres[:, 8:24, 8:24] = 0.5
    blurred = torch.nn.functional.avg_pool2d(metres[None], 5, 1, 2, count_include_pad=False)[0]
    assert float(outline_error(metres, metres)) == 0
    assert float(outline_error(1.1 * metres, metres)) < 1e-6
    assert float(outline_error(blurred, metres)) > 0.02


def test_learning_rate_rises_holds_and_falls() -> None:
    settings = RunSettings(steps=100, learning_rate=1e-3, warmup=10)
    rates = [settings.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[20] == rates[49] == 1.0
    assert rates[99] < 0.05
    with pytest.raises(ConfigurationError, match="steps"):
        RunSettings(steps=0, learning_rate=1.0)


def test_timesteps_crowd_at_the_clean_end() -> None:
    timesteps = draw_timesteps(np.random.default_rng(0), 4000, 1000)
    assert timesteps.min() >= 0
    assert timesteps.max() <= 999
    assert 1.2 < np.mean(timesteps < 500) / np.mean(timesteps >= 500) < 2.0


def test_kinds_of_view_take_their_shares_of_a_batch(frames_folder: Path, tmp_path: Path) -> None:
    data = pack(frames_folder, tmp_path, 12)
    shares = {"robot": 0.3, "asset": 0.5, "wide": 0.2}
    mixed = replace(data, kinds=("asset",) * 3 + ("robot",) * 9)
    chances = mixed.chances(shares)
    assert chances.sum() == pytest.approx(1)
    assert chances[[0, 1, 2, 12, 13, 14]].sum() == pytest.approx(0.5 / 0.8)
    assert np.ptp(replace(data, kinds=("asset",) * 12).chances(shares)) == 0
    with pytest.raises(DatasetError, match="aerial"):
        replace(data, kinds=("aerial",) * 12).chances(shares)


def test_a_share_takes_the_same_part_of_every_stage() -> None:
    part, all_of_it = planned_steps(0.5), planned_steps(1.0)
    assert list(part) == list(all_of_it)
    assert all(all_of_it[stage] == pytest.approx(2 * part[stage], abs=1) for stage in part)


def test_latents_of_another_autoencoder_are_not_taken_from_the_cache(frames_folder: Path, tmp_path: Path) -> None:
    data, rows = pack(frames_folder, tmp_path, 12), np.array([3])
    stores = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        vae = build_vae(TinyArchitecture(vae_channels=(8, 8, 8))).requires_grad_(False)
        stores.append(LatentStore(vae, data, tmp_path, Worker()).images(rows))
        assert torch.equal(stores[-1], LatentStore(vae, data, tmp_path, Worker()).images(rows))
    assert not torch.allclose(*stores, atol=1e-2)


def test_latents_of_brightened_pictures_are_kept_apart(frames_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = build_vae(TinyArchitecture(vae_channels=(8, 8, 8))).requires_grad_(False)
    plain, least = pack(frames_folder, tmp_path, 12), 0.9
    bright = pack(frames_folder, tmp_path, 12, least)
    rows = np.arange(12)
    assert float(bright.images(rows).mean()) > float(plain.images(rows).mean())
    assert torch.equal(bright.depths(rows), plain.depths(rows))
    latents = [LatentStore(vae, data, tmp_path, Worker()).images(rows) for data in (plain, bright)]
    assert not torch.allclose(*latents, atol=1e-2)
