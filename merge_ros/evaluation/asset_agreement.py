"""How far an asset shows what its source showed: MuJoCo renders it from the source camera, and both are compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError
from merge_ros.evaluation.metrics import metric_metrics
from merge_ros.geometry.camera import Camera
from merge_ros.simulation.renderer import load_mujoco, shared_context
from merge_ros.synthesis.asset import Asset

NEAR = 0.01  # metres: the clipping plane before the camera


@dataclass(frozen=True)
class Agreement:
    """What of the source the asset shows again.

    Args:
        covered: share of the asset's source pixels that the rendered asset covers, in [0, 1].
        psnr: of the colours of these pixels, decibels; inf when they are the same.
        abs_rel: of their depth, mean of |rendered - source| / source.
        delta1: share of them whose depth is off by less than a factor of 1.25.
    """

    covered: float
    psnr: float
    abs_rel: float
    delta1: float


def check_agreement(asset: Asset, mjcf: Path) -> Agreement:
    """Render a written asset from the camera of its source, and compare colours and depth.

    Args:
        asset: the source.
        mjcf: the MuJoCo model that was written of it.

    Raises:
        MissingDependencyError: MuJoCo or OpenGL is missing.
        InputError: nothing of the asset is seen.
    """
    camera = asset.view.camera
    rgb, depth = render_asset(mjcf, camera, asset.pose)
    stride = asset.surface.stride
    shown = np.isfinite(depth)[::stride, ::stride]
    wanted = asset.surface.used
    both = shown & wanted
    if not both.any():
        raise InputError(f"{mjcf} shows nothing where its source shows the asset")
    source_rgb, source_depth = asset.view.rgb[::stride, ::stride], asset.surface.depth
    error = rgb[::stride, ::stride][both].astype(np.float64) - source_rgb[both]
    mean_square = float(np.mean(error**2))
    metrics = metric_metrics(depth[::stride, ::stride].astype(np.float64), source_depth, both)
    return Agreement(
        covered=float(both.sum() / wanted.sum()),
        psnr=float(10 * np.log10(255**2 / mean_square)) if mean_square else float("inf"),
        abs_rel=metrics.abs_rel,
        delta1=metrics.delta1,
    )


def render_asset(
    mjcf: Path, camera: Camera, pose: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A MuJoCo model as a camera sees it, under even light that changes no colour.

    Args:
        mjcf: the model.
        camera: any pinhole camera.
        pose: [4, 4], the model's world from the optical frame.

    Returns:
        [height, width, 3] uint8, and [height, width] metres along the optical axis, +inf where nothing is.

    Raises:
        MissingDependencyError: MuJoCo or OpenGL is missing.
        InputError: MuJoCo cannot load the model.
    """
    mujoco = load_mujoco()
    try:
        spec = mujoco.MjSpec.from_file(str(mjcf))
        visual = spec.visual
        visual.global_.offwidth, visual.global_.offheight = camera.width, camera.height
        visual.quality.offsamples = 0  # no mixing at outlines
        visual.headlight.ambient, visual.headlight.diffuse, visual.headlight.specular = [1] * 3, [0] * 3, [0] * 3
        # MuJoCo's camera looks along its -z with y up: the optical frame turned by 180 degrees about x.
        rotation = pose[:3, :3] * np.array([1.0, -1.0, -1.0])
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, rotation.ravel())
        spec.worldbody.add_camera(
            name="source",
            pos=pose[:3, 3],
            quat=quaternion,
            resolution=[camera.width, camera.height],
            sensor_size=[camera.width, camera.height],
            focal_pixel=[camera.fx, camera.fy],
            principal_pixel=[camera.cx - (camera.width - 1) / 2, (camera.height - 1) / 2 - camera.cy],
        )
        model = spec.compile()
    except ValueError as error:
        raise InputError(f"MuJoCo cannot load {mjcf}: {error}") from error
    far = 10 * float(np.linalg.norm(pose[:3, 3]) + 1)
    model.vis.map.znear, model.vis.map.zfar = NEAR / model.stat.extent, far / model.stat.extent
    rgb, buffer = _draw(mujoco, model, camera)
    # With reversed depth (near 1, far 0) OpenGL's perspective stores d = near (far - z) / (z (far - near)).
    depth = (NEAR * far / (NEAR + buffer.astype(np.float64) * (far - NEAR))).astype(np.float32)
    depth[depth > 0.99 * far] = np.inf
    return rgb, depth


def _draw(mujoco: Any, model: Any, camera: Camera) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Colours and depth buffer of the model's last camera."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    view = mujoco.MjvCamera()
    view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, model.ncam - 1
    drawn = mujoco.MjvScene(model, maxgeom=model.ngeom + 64)
    mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, view, mujoco.mjtCatBit.mjCAT_ALL, drawn)
    shared_context().make_current()
    context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, context)
    context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
    viewport = mujoco.MjrRect(0, 0, camera.width, camera.height)
    rgb, buffer = (
        np.empty((camera.height, camera.width, 3), np.uint8),
        np.empty((camera.height, camera.width), np.float32),
    )
    try:
        mujoco.mjr_render(viewport, drawn, context)
        mujoco.mjr_readPixels(rgb, buffer, viewport, context)
    finally:
        context.free()
    # OpenGL counts rows from the bottom.
    return np.ascontiguousarray(rgb[::-1]), np.ascontiguousarray(buffer[::-1])
