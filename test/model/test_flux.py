"""MERGE-L: groups, tokens, both rotary options, guidance on and off, and image mode that stays plain FLUX."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from safetensors.torch import load_file, save_file
from tiny_models import tiny_flux

from merge_ros.errors import CheckpointError, ConfigurationError, InputError
from merge_ros.evaluation.parity import verify
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.flux import MergeFlux, pack, position_ids, unpack
from merge_ros.model.flux_converter import FluxConverter, init_flux_from_backbone
from merge_ros.model.networks import load_network


def make_backbone(double: int = 3, single: int = 5, **changes: object) -> FluxTransformer2DModel:
    """A FLUX of two heads with seeded random weights."""
    torch.manual_seed(double * 100 + single)
    return tiny_flux(double, single, **changes).eval()


def randomised(converter: FluxConverter) -> FluxConverter:
    """New converters with every weight of some effect, so that tests see it."""
    with torch.no_grad():
        for parameter in converter.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return converter.eval()


def make_network(double: int = 3, single: int = 5, groups: int = 2, **changes: object) -> MergeFlux:
    backbone = make_backbone(double, single, **changes)
    return MergeFlux(backbone, randomised(FluxConverter.for_backbone(backbone, groups))).eval()


def text(batch: int = 1) -> Conditioning:
    generator = torch.Generator().manual_seed(5)
    embedding = torch.randn(batch, 4, 12, generator=generator)
    return Conditioning(embedding, torch.ones(batch, 4), pooled=torch.randn(batch, 6, generator=generator))


def latents(batch: int = 1, height: int = 6, width: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(6)
    return tuple(torch.randn(batch, 4, height, width, generator=generator) for _ in range(2))  # type: ignore[return-value]


@torch.no_grad()
def as_published(
    network: MergeFlux, tokens: torch.Tensor, time: torch.Tensor, guidance: torch.Tensor | None
) -> torch.Tensor:
    """The published forward pass, written out with its lists of groups (arXiv 2510.23574; one attention per line)."""
    frozen, learned, words = network.backbone, network.converter, text()
    groups = learned.config.num_single_layers
    told = (time * 1000,) if guidance is None else (time * 1000, guidance * 1000)
    embedded = frozen.time_text_embed(*told, words.pooled)
    x, y = learned.x_embedder(tokens), frozen.context_embedder(words.text)
    places = torch.cat([torch.zeros(4, 3), position_ids(3, 2)])
    joint, alone = frozen.pos_embed(places), frozen.pos_embed(position_ids(3, 2))

    def group_lists(blocks: int) -> list[list[int]]:
        length = blocks // groups + (1 if blocks % groups else 0)
        return [list(range(i * length, min((i + 1) * length, blocks))) for i in range(groups)]

    for i, group in enumerate(group_lists(len(frozen.transformer_blocks))):
        for index in group:
            x = learned.single_transformer_blocks_in_dual[i](x, x[:, :0], embedded, alone)[1]
            y, x = frozen.transformer_blocks[index](x, y, embedded, joint)
    for i, group in enumerate(group_lists(len(frozen.single_transformer_blocks))):
        for index in group:
            y, x = learned.single_transformer_blocks[i](x, y, embedded, joint)
            y, x = frozen.single_transformer_blocks[index](x, y, embedded, joint)
    return learned.proj_out(learned.norm_out(x, embedded))


@pytest.mark.parametrize(
    ("double", "single", "groups"), [(3, 5, 2), (2, 4, 2), (5, 3, 3), (1, 7, 5), (4, 4, 1), (2, 3, 3)]
)
@pytest.mark.parametrize("guided", [True, False])
def test_any_number_of_blocks_and_groups(double: int, single: int, groups: int, guided: bool) -> None:
    network = make_network(double, single, groups, guidance_embeds=guided)
    image, depth = latents()
    with torch.no_grad():
        output = network(image, depth, torch.tensor([731.0]), text())
    tokens = torch.cat([pack(depth), pack(image)], dim=2)
    expected = as_published(network, tokens, torch.tensor([0.731]), torch.zeros(1) if guided else None)
    assert torch.allclose(output, unpack(expected, 6, 4), atol=1e-5)
    assert output.std() > 1e-3


def test_recorded_outputs(reference_large: Path) -> None:
    differences = {d.output: d for d in verify(str(reference_large), reference_large / "io.safetensors")}
    assert set(differences) == {"image_out", "depth_out"}
    for difference in differences.values():
        assert difference.max_abs_diff <= 1e-5, difference


def test_the_other_rotary_option_gives_the_same_numbers(reference_large: Path, tmp_path: Path) -> None:
    for part in ("transformer", "depth_converters"):
        (tmp_path / part).mkdir()
        for file in (reference_large / part).iterdir():
            (tmp_path / part / file.name).write_bytes(file.read_bytes())
    config = tmp_path / "depth_converters" / "config.json"
    for option in (False, None):
        config.write_text(json.dumps(json.loads(config.read_text()) | {"merge_dual_rotary_emb_type": option}))
        for difference in verify(str(tmp_path), reference_large / "io.safetensors"):
            assert difference.ok, (option, difference)


def test_the_reference_files_are_checked(reference_large: Path, tmp_path: Path) -> None:
    stored = load_file(reference_large / "io.safetensors")
    for missing, message in (("pooled", "needs the inputs pooled"), ("guidance", "no input guidance")):
        save_file({name: tensor for name, tensor in stored.items() if name != missing}, tmp_path / "io.safetensors")
        with pytest.raises(InputError, match=message):
            verify(str(reference_large), tmp_path / "io.safetensors")


def test_image_mode_is_plain_flux(reference_large: Path) -> None:
    stored = load_file(reference_large / "io.safetensors")
    plain = FluxTransformer2DModel.from_pretrained(reference_large / "transformer").eval()
    network = load_network(reference_large, reference_large / "depth_converters")
    names = {"hidden_states": "image", "encoder_hidden_states": "text", "pooled_projections": "pooled"}
    inputs = {name: stored[names.get(name, name)] for name in (*names, "timestep", "img_ids", "txt_ids", "guidance")}
    image, depth = latents()

    def image_mode(backbone: FluxTransformer2DModel) -> torch.Tensor:
        with torch.no_grad():
            return backbone(**inputs).sample

    expected = image_mode(plain)
    assert torch.equal(image_mode(network.backbone), expected), "plugged, before depth"
    conditioning = Conditioning(stored["text"], torch.ones(1, 4), pooled=stored["pooled"])
    with torch.no_grad():
        network(image, depth, torch.tensor([500.0]), conditioning)
    assert torch.equal(image_mode(network.backbone), expected), "plugged, after depth"
    network.unplug()
    assert torch.equal(image_mode(network.backbone), expected), "unplugged"


def test_tokens_are_packed_as_diffusers_does() -> None:
    latent = torch.randn(2, 4, 6, 8)
    assert torch.equal(pack(latent), FluxPipeline._pack_latents(latent, 2, 4, 6, 8))
    assert torch.equal(unpack(pack(latent), 6, 8), latent)
    ids = FluxPipeline._prepare_latent_image_ids(1, 3, 4, torch.device("cpu"), torch.float32)
    assert torch.equal(position_ids(3, 4), ids)


def test_a_batch_is_its_images() -> None:
    network = make_network()
    image, depth = latents(batch=2)
    with torch.no_grad():
        both = network(image, depth, torch.tensor([300.0, 300.0]), text())
        alone = [network(image[i : i + 1], depth[i : i + 1], torch.tensor([300.0]), text()) for i in range(2)]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)


def test_initialisation_takes_the_first_block_of_each_group() -> None:
    backbone = make_backbone(3, 5)
    converter = FluxConverter.for_backbone(backbone, 2, copy_into_dual=True)
    for mine, first in enumerate((0, 3)):
        frozen = backbone.single_transformer_blocks[first].state_dict()
        for blocks in (converter.single_transformer_blocks, converter.single_transformer_blocks_in_dual):
            assert all(torch.equal(tensor, frozen[name]) for name, tensor in blocks[mine].state_dict().items())
    assert torch.equal(converter.x_embedder.weight[:, :16], backbone.x_embedder.weight)
    assert not converter.x_embedder.weight[:, 16:].any()
    report = init_flux_from_backbone(FluxConverter.for_backbone(backbone, 2), backbone)
    assert set(report.copied) | set(report.random) == set(converter.state_dict())
    assert {name.split(".")[0] for name in report.random} == {"single_transformer_blocks_in_dual"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_attention_heads": 3}, "width"),
        ({"in_channels": 8}, "in_channels"),
        ({"axes_dims_rope": (4, 2, 2)}, "axes_dims_rope"),
    ],
)
def test_converters_of_another_backbone_are_refused(changes: dict[str, object], named: str) -> None:
    converter = FluxConverter.for_backbone(make_backbone(**changes), 2)
    with pytest.raises(CheckpointError, match=named):
        MergeFlux(make_backbone(), converter)


def test_more_converters_than_blocks_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="between 1 and the backbone's 5 blocks"):
        FluxConverter.for_backbone(make_backbone(), 6)
    with pytest.raises(CheckpointError, match=r"num_single_layers \(groups\) is 5, the backbone needs 1 to 3"):
        MergeFlux(make_backbone(3, 2), FluxConverter.for_backbone(make_backbone(3, 5), 5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prediction_type": "epsilon"}, "allowed: flow, sample"),
        ({"prediction_type": "sample"}, "'sample' is for one step"),
        ({"depth_timestep": 50}, "'sample' is for one step"),
        ({"prediction_type": "sample", "depth_timestep": 1000, "num_inference_steps": 1}, "0..999"),
        ({"prediction_type": "sample", "depth_timestep": 50}, "fixes one step"),
        ({"num_inference_steps": 0}, "at least 1"),
        ({"num_single_layers": 0}, "at least 1"),
        ({"merge_flux_transformer": False}, "whole transformer"),
    ],
)
def test_settings_that_contradict(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FluxConverter(num_attention_heads=2, attention_head_dim=8, axes_dims_rope=(2, 2, 4), **settings)


def test_bad_input() -> None:
    network = make_network()
    image, depth = latents()
    time = torch.tensor([500.0])
    with pytest.raises(InputError, match=r"image_latent has shape \(1, 3, 6, 4\)"):
        network(image[:, :3], depth, time, text())
    with pytest.raises(InputError, match="multiple of the patch size 2"):
        network(image[..., :3], depth[..., :3], time, text())
    with pytest.raises(InputError, match="pooled text embedding"):
        network(image, depth, time, Conditioning(text().text, torch.ones(1, 4)))
    with pytest.raises(InputError, match="no guidance was given"):
        network.predict(
            torch.zeros(1, 6, 32),
            torch.tensor([0.5]),
            text(),
            image_ids=position_ids(3, 2),
            text_ids=torch.zeros(4, 3),
            guidance=None,
        )
    network.unplug()
    with pytest.raises(InputError, match="none are plugged in"):
        network(image, depth, time, text())


def test_every_weight_counts() -> None:
    """Each tensor of the converters, and each block of the backbone, moves the output."""
    network = make_network()
    image, depth = latents()

    def output() -> torch.Tensor:
        with torch.no_grad():
            return network(image, depth, torch.tensor([700.0]), text())

    before = output()
    # Of the last frozen block, what becomes of the text goes nowhere.
    frozen = itertools.chain(network.backbone.transformer_blocks, network.backbone.single_transformer_blocks)
    tensors = [*network.converter.parameters(), *(next(block.parameters()) for block in frozen)]
    for tensor in tensors:
        kept = tensor.clone()
        with torch.no_grad():
            tensor.mul_(1.5).add_(0.1)
        assert not torch.equal(output(), before)
        with torch.no_grad():
            tensor.copy_(kept)
