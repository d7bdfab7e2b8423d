"""How a picture with depth becomes a simulation asset."""

from __future__ import annotations

import math
from dataclasses import dataclass

from merge_ros.config.allowed import in_range, one_of
from merge_ros.errors import ConfigurationError

ASSET_FORMATS = ("glb", "obj", "sdf", "mjcf", "usd", "ply", "rgbd")
ASSET_PARTS = ("scene", "subject")
SIZE_RULES = ("as_measured", "camera_height", "width", "height")
COLLISIONS = ("none", "hull", "pieces")

ASSET_CHOICES: dict[str, tuple[str, ...]] = {
    "format": ASSET_FORMATS,
    "part": ASSET_PARTS,
    "size_rule": SIZE_RULES,
    "collision": COLLISIONS,
}
# Lowest and highest allowed value of every number, both included.
ASSET_RANGES: dict[str, tuple[float, float]] = {
    "metres": (0.001, 1000.0),
    "camera_pitch": (-math.pi / 2, math.pi / 2),
    "horizontal_fov": (math.radians(5), math.radians(150)),
    "far_over_near": (1.05, 100.0),
    "triangles": (20, 1_000_000),
    "grid_pixels": (1000, 4_000_000),
    "texture_side": (64, 8192),
    "steepest": (1.0, 1000.0),
    "tolerance": (0.001, 0.5),
    "collision_pieces": (1, 1000),
    "collision_tolerance": (0.001, 1.0),
    "collision_thickness": (0.001, 10.0),
}


@dataclass(frozen=True)
class AssetScaleSettings:
    """How relative depth, which knows neither unit nor zero, becomes metres.

    Its shift is found first: by `far_over_near` where that is given, else from the floor in the picture, which must
    look flat. Then one length fixes the unit.

    Args:
        size_rule: which length. "camera_height": the camera is `metres` above the floor that it sees; "width",
            "height": the finished asset is `metres` wide (along the picture's rows) or high; "as_measured": the depth
            is in metres already, and nothing is changed.
        metres: that length, > 0; not for "as_measured".
        camera_pitch: radians that the optical axis points below the horizon; None: the one with which the floor fits
            best.
        horizontal_fov: radians between the left and the right border of the picture, for pictures without intrinsics.
        far_over_near: how many times farther the farthest thing is than the nearest, > 1; 0: from the floor. Not with
            "camera_height", which needs the floor anyway.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    size_rule: str = "camera_height"
    metres: float = 0.5
    camera_pitch: float | None = None
    horizontal_fov: float = math.radians(60)
    far_over_near: float = 0.0

    def __post_init__(self) -> None:
        one_of("size_rule", self.size_rule, ASSET_CHOICES)
        in_range("metres", self.metres, ASSET_RANGES)
        if self.camera_pitch is not None:
            in_range("camera_pitch", self.camera_pitch, ASSET_RANGES)
        in_range("horizontal_fov", self.horizontal_fov, ASSET_RANGES)
        if self.far_over_near:
            in_range("far_over_near", self.far_over_near, ASSET_RANGES)
            if self.size_rule == "camera_height":
                raise ConfigurationError(
                    "size_rule 'camera_height' finds the depths from the floor: far_over_near must be 0 with it"
                )


@dataclass(frozen=True)
class AssetSettings:
    """What is made of a picture with metric depth.

    Args:
        formats: what is written, of `ASSET_FORMATS`, at least one.
        part: "scene": everything in the picture; "subject": what stands before the background, see
            `synthesis/subject.py`.
        remove_ground: leave the floor out of a scene. A subject never has it.
        triangles: of the visible mesh, at most.
        grid_pixels: the mesh is cut from at most about so many depth pixels, every n-th of every n-th row.
        texture_side: longest side of the texture in pixels; larger pictures are scaled down.
        steepest: tangent of the largest angle between a surface's normal and the ray to it; what is steeper is no
            surface but a gap between two things, or the smeared edge of one, unless it is floor.
        tolerance: of the depth; so near to the plane of the floor or of a wall a pixel belongs to it. 0: 0.02 for
            measured depth, 0.05 for estimated depth.
        collision: "none"; "hull": one convex hull; "pieces": the surface cut into convex pieces, each closed, which
            keeps hollows open.
        collision_pieces: at most.
        collision_tolerance: of the depth; a piece whose surface is less flat is cut again while there may be more.
        collision_thickness: metres that collision pieces reach behind the surface.
        licence: what the metadata says of the rights in the asset; "": what follows from its source.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    formats: tuple[str, ...] = ("glb",)
    part: str = "scene"
    remove_ground: bool = False
    triangles: int = 20_000
    grid_pixels: int = 160_000
    texture_side: int = 2048
    steepest: float = 12.0
    tolerance: float = 0.0
    collision: str = "pieces"
    collision_pieces: int = 150
    collision_tolerance: float = 0.01
    collision_thickness: float = 0.05
    licence: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", tuple(dict.fromkeys(self.formats)))
        if not self.formats:
            raise ConfigurationError(f"formats is empty; allowed: {', '.join(ASSET_FORMATS)}")
        for name in self.formats:
            one_of("format", name, ASSET_CHOICES)
        one_of("part", self.part, ASSET_CHOICES)
        one_of("collision", self.collision, ASSET_CHOICES)
        if self.tolerance:
            in_range("tolerance", self.tolerance, ASSET_RANGES)
        for name in (
            "triangles",
            "grid_pixels",
            "texture_side",
            "steepest",
            "collision_pieces",
            "collision_tolerance",
            "collision_thickness",
        ):
            in_range(name, getattr(self, name), ASSET_RANGES)
