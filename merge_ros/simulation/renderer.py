"""Off-screen rendering of a scene with MuJoCo: colour, exact optical-z depth, and which thing each pixel shows."""

from __future__ import annotations

import ctypes.util
import importlib
import math
import os
from functools import lru_cache
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ConfigurationError, InputError, MissingDependencyError
from merge_ros.geometry.camera import Camera
from merge_ros.simulation.scene import Part, Scene, Vector

NEAR, FAR = 0.03, 60.0  # metres: clipping planes
LIBRARIES = {"egl": ("EGL", "libegl1"), "osmesa": ("OSMesa", "libosmesa6")}


class GraphicsLibraryError(MissingDependencyError):
    """No OpenGL library that can render without a display."""

    def __init__(self, wanted: str) -> None:
        ImportError.__init__(
            self,
            f"off-screen rendering needs {wanted}: apt-get install libegl1 libgl1 "
            "(or libosmesa6, with MUJOCO_GL=osmesa)",
        )


def load_mujoco() -> Any:
    """Import MuJoCo with an off-screen OpenGL: EGL, else OSMesa. A MUJOCO_GL that is already set is respected.

    Raises:
        MissingDependencyError: MuJoCo or the OpenGL library is not installed; the message names the package.
        ConfigurationError: MUJOCO_GL names a backend that needs a display.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    if chosen and chosen not in LIBRARIES:
        raise ConfigurationError(f"MUJOCO_GL={chosen} cannot render without a display; allowed: egl, osmesa, or unset")
    if chosen and ctypes.util.find_library(LIBRARIES[chosen][0]) is None:
        raise GraphicsLibraryError(f"the library lib{LIBRARIES[chosen][0]} (MUJOCO_GL={chosen})")
    if not chosen:
        found = [name for name, (library, _) in LIBRARIES.items() if ctypes.util.find_library(library)]
        if not found:
            raise GraphicsLibraryError("libEGL or libOSMesa")
        os.environ["MUJOCO_GL"] = found[0]
    # Mesa's software rasteriser starts a thread per core otherwise; data sets are made by several processes instead.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    try:
        import mujoco
    except ImportError as error:
        raise MissingDependencyError("mujoco", "sim", "rendering simulated scenes") from error
    return mujoco


@lru_cache(maxsize=1)
def shared_context() -> Any:
    """The OpenGL context of this process; `make_current()` before use."""
    # One OpenGL context per process: a new one for each scene would compile all shaders again (0.2 s). Taken by name,
    # because mujoco.GLContext is what MUJOCO_GL said when somebody first imported mujoco.
    load_mujoco()
    backend = importlib.import_module(f"mujoco.{os.environ['MUJOCO_GL'].lower()}")
    return backend.GLContext(64, 64)


class SceneRenderer:
    """Renders one scene from any camera pose. Use it in a `with` block: it holds OpenGL memory.

    Args:
        scene: what to show.
        camera: intrinsics; square pixels and a centred principal point, which is what OpenGL's fovy camera can do.

    Raises:
        InputError: the camera has other intrinsics.
        MissingDependencyError: MuJoCo or OpenGL is missing.
    """

    def __init__(self, scene: Scene, camera: Camera) -> None:
        centred = camera.cx == (camera.width - 1) / 2 and camera.cy == (camera.height - 1) / 2
        if camera.fx != camera.fy or not centred:
            raise InputError(f"{camera} must have fx = fy and a centred principal point; make it with Camera.from_fov")
        mujoco = self._mujoco = load_mujoco()
        self._size = (camera.height, camera.width)
        self._model = _compile(mujoco, scene, camera)
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._view = mujoco.MjvCamera()
        self._view.type, self._view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
        self._option = mujoco.MjvOption()
        self._drawn = mujoco.MjvScene(self._model, maxgeom=len(scene.parts) + 64)
        self._viewport = mujoco.MjrRect(0, 0, camera.width, camera.height)
        self._opengl = shared_context()
        self._opengl.make_current()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._thing_of_part = np.array([-1] + [part.thing for part in scene.parts])  # 0: background

    def __enter__(self) -> SceneRenderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opengl.make_current()
        self._context.free()

    def colour(self, pose: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The picture from a pose (world from optical): [height, width, 3] uint8."""
        return self._render(pose, labels=False)[0]

    def truth(self, pose: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What is really there, from a pose.

        Returns:
            [height, width] float32, metres along the optical axis; and [height, width], the index of the scene's
            thing that each pixel shows, -1 for the room itself.
        """
        coded, buffer = self._render(pose, labels=True)
        # With reversed depth (near 1, far 0) OpenGL's perspective stores d = near (far - z) / (z (far - near)).
        depth = NEAR * FAR / (NEAR + buffer.astype(np.float64) * (FAR - NEAR))
        # Object ids come as colours, least significant byte first. Anti-aliasing mixes them at outlines: an id past
        # the last part is such a mixture, and counts as background.
        ids = coded.astype(np.int64) @ np.array([1, 256, 65536])
        return depth.astype(np.float32), self._thing_of_part[np.where(ids < len(self._thing_of_part), ids, 0)]

    def distances(self, origin: Vector, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far it is to the nearest surface along some rays.

        Args:
            origin: of the rays in the world, metres.
            directions: [n, 3] unit vectors.

        Returns:
            [n] metres; +inf where a ray meets nothing.
        """
        start, found = np.array(origin, np.float64), np.array([-1], np.int32)
        ray = self._mujoco.mj_ray
        hits = [ray(self._model, self._data, start, way, None, True, -1, found) for way in directions]
        return np.array([distance if distance >= 0 else math.inf for distance in hits])

    def _render(self, pose: NDArray[np.float64], labels: bool) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        mujoco = self._mujoco
        # MuJoCo's camera looks along its -z with y up: the optical frame turned by 180 degrees about x.
        self._data.cam_xpos[0] = pose[:3, 3]
        self._data.cam_xmat[0] = (pose[:3, :3] * np.array([1.0, -1.0, -1.0])).reshape(-1)
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, self._data, self._option, None, self._view, everything, self._drawn)
        self._drawn.flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = labels
        self._drawn.flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = labels
        self._opengl.make_current()
        mujoco.mjr_render(self._viewport, self._drawn, self._context)
        image = np.empty((*self._size, 3), np.uint8)
        buffer = np.empty(self._size, np.float32)
        mujoco.mjr_readPixels(image, buffer if labels else None, self._viewport, self._context)
        # OpenGL counts rows from the bottom.
        return np.ascontiguousarray(image[::-1]), np.ascontiguousarray(buffer[::-1])


def _compile(mujoco: Any, scene: Scene, camera: Camera) -> Any:
    spec = mujoco.MjSpec()
    visual = spec.visual
    visual.global_.offwidth, visual.global_.offheight = camera.width, camera.height
    visual.quality.shadowsize, visual.quality.offsamples = 1024, 4
    spec.stat.extent = 1.0  # clipping planes below are in units of the extent
    spec.stat.center = [scene.length / 2, scene.width / 2, scene.height / 2]
    visual.map.znear, visual.map.zfar = NEAR, FAR
    visual.map.shadowclip = max(scene.length, scene.width)
    visual.headlight.ambient = [scene.ambient] * 3
    visual.headlight.diffuse = [0.15] * 3
    visual.headlight.specular = [0.0] * 3

    for name, surface in scene.surfaces.items():
        _add_material(mujoco, spec, name, surface)
    for part in scene.parts:
        _add_geom(mujoco, spec, part)
    for light in scene.lights:
        spec.worldbody.add_light(
            pos=light.position,
            dir=light.direction,
            diffuse=light.rgb,
            specular=[0.25 * channel for channel in light.rgb],
            ambient=[0, 0, 0],
            cutoff=light.cutoff,
            exponent=1.0,
            attenuation=[1.0, 0.02, 0.01],
            castshadow=light.shadow,
            type=mujoco.mjtLightType.mjLIGHT_SPOT,
        )
    fovy = 2 * math.degrees(math.atan(camera.height / 2 / camera.fy))
    spec.worldbody.add_camera(name="camera", fovy=fovy)
    return spec.compile()


def _add_material(mujoco: Any, spec: Any, name: str, surface: Any) -> None:
    material = spec.add_material(
        name=name,
        specular=surface.specular,
        shininess=surface.shininess,
        reflectance=surface.reflectance,
        emission=surface.emission,
        texuniform=surface.on_plane,
        texrepeat=surface.repeat,
    )
    if surface.texture is None:
        return
    side = surface.texture.shape[0]
    texture = spec.add_texture(name=name, width=side, height=side, nchannel=3)
    if surface.on_plane:
        texture.type = mujoco.mjtTexture.mjTEXTURE_2D
        texture.data = surface.texture.tobytes()
    else:
        texture.type = mujoco.mjtTexture.mjTEXTURE_CUBE
        texture.height = 6 * side
        texture.data = np.tile(surface.texture, (6, 1, 1)).tobytes()
    textures = list(material.textures)
    textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    material.textures = textures


def _add_geom(mujoco: Any, spec: Any, part: Part) -> None:
    size = list(part.size)
    if part.shape == "plane":
        size[2] = 1.0  # spacing of the grid that MuJoCo draws a plane with
    spec.worldbody.add_geom(
        type=getattr(mujoco.mjtGeom, f"mjGEOM_{part.shape.upper()}"),
        size=size,
        pos=part.position,
        quat=part.quaternion,
        rgba=[*part.rgb, 1.0],
        material=part.material,
        contype=0,
        conaffinity=0,
    )
