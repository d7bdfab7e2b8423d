"""Who may import whom: the one way through the house, and third parties only where an extra brings them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "merge_ros"

# Each part of the package with the parts it may stand on, lowest first.
BASE = {"errors", "files", "config", "geometry"}
MAY_IMPORT = {
    "__init__": set(),
    "errors": set(),
    "files": {"errors"},
    "archive": {"errors"},
    "config": {"errors"},
    "geometry": {"errors", "files", "config"},
    "scale": BASE,
    "model": BASE,
    "runtime": BASE | {"model"},
    "estimator": BASE | {"model", "runtime"},
    "normals_estimator": BASE | {"model", "runtime", "estimator"},
    "batching": BASE | {"estimator"},
    "generated": BASE,
    "generator": BASE | {"model", "runtime", "estimator", "generated"},
    "simulation": BASE,
    "synthesis": BASE | {"scale", "generated"},
    "evaluation": BASE
    | {"archive", "scale", "model", "runtime", "estimator", "normals_estimator", "simulation", "synthesis"},
    "training": BASE
    | {"archive", "model", "runtime", "estimator", "generated", "generator", "evaluation", "simulation"},
    "ros": BASE
    | {"scale", "model", "runtime", "estimator", "batching", "generated", "generator", "synthesis"}
    | {"msg", "srv", "action"},
    "demo": BASE | {"scale", "estimator", "evaluation", "simulation", "ros", "msg", "srv", "action"},
    "cli": BASE
    | {"archive", "scale", "model", "runtime", "estimator", "generated", "generator"}
    | {"evaluation", "simulation", "synthesis", "training", "ros", "demo"},
}

# Each third party with its name on PyPI (None: only ROS itself brings it), its key in rosdep (None: none for Jazzy that
# apt can install) and the parts of the package that may import it; None: all of them, and it must come with the base
# installation.
ROS_PARTS = ("ros", "demo")
TORCH_PARTS = (
    "model",
    "runtime",
    "training",
    "evaluation/adapters",
    "evaluation/ceiling",
    "evaluation/parity",
    "evaluation/prompts",
)
THIRD_PARTIES = (
    {
        "cv2": ("opencv-python-headless", "python3-opencv", None),
        "numpy": ("numpy", "python3-numpy", None),
        "tqdm": ("tqdm", "python3-tqdm", None),
        "diffusers": ("diffusers", None, TORCH_PARTS),
        "huggingface_hub": ("huggingface-hub", None, TORCH_PARTS),
        "safetensors": ("safetensors", None, TORCH_PARTS),
        "tokenizers": ("tokenizers", None, TORCH_PARTS),
        "torch": ("torch", None, TORCH_PARTS),
        "torchao": ("torchao", None, ("model",)),
        "transformers": ("transformers", None, TORCH_PARTS),
        "accelerate": ("accelerate", None, ("training",)),
        "cuda": ("cuda-bindings", None, ("runtime",)),
        "filelock": ("filelock", None, ("runtime",)),
        "onnx": ("onnx", None, ("runtime",)),
        "onnxruntime": ("onnxruntime", None, ("runtime",)),
        "onnxscript": ("onnxscript", None, ("runtime",)),
        "openvino": ("openvino", None, ("runtime",)),
        "matplotlib": ("matplotlib", None, ("cli/benchmark",)),
        "mujoco": ("mujoco", None, ("simulation",)),
        "fast_simplification": ("fast-simplification", None, ("synthesis",)),
        "pxr": ("usd-core", None, ("synthesis",)),
        "ray": ("ray", None, ("synthesis",)),
        "scipy": ("scipy", "python3-scipy", ("synthesis",)),
        "trimesh": ("trimesh", None, ("synthesis",)),
        "yaml": ("pyyaml", "python3-yaml", ("ros",)),
        "PIL": ("pillow", "python3-pil", ("demo", "evaluation/adapters", "synthesis")),
        "rerun": ("rerun-sdk", None, ("ros/view_scene",)),
        "rosbags": ("rosbags", None, ("demo",)),
        "launch": (None, "launch", ("ros/launching",)),
        "tf2_msgs": (None, "tf2_msgs", ("ros",)),
        "ruamel": ("ruamel-yaml", "python3-ruamel.yaml", ("demo", "training")),
    }
    | {
        package: (f"ros-jazzy-{package.replace('_', '-')}", package, ROS_PARTS)
        for package in (
            "builtin_interfaces",
            "diagnostic_msgs",
            "geometry_msgs",
            "lifecycle_msgs",
            "nav_msgs",
            "rcl_interfaces",
            "rclpy",
            "rosgraph_msgs",
            "sensor_msgs",
            "std_msgs",
            "std_srvs",
        )
    }
    | {"tf2_ros": (None, "tf2_ros_py", ROS_PARTS)}
)


def imported(source: Path) -> Iterator[str]:
    """The full name of every module a source file imports anywhere, but for those only a type checker sees."""
    tree = ast.parse(source.read_text(), filename=str(source))
    unseen = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test).endswith("TYPE_CHECKING")
        for statement in branch.body
        for node in ast.walk(statement)
    }
    package = source.relative_to(REPOSITORY).parent.parts
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*parent, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def part(module: str) -> str:
    """The part of merge_ros that a full module name belongs to."""
    names = module.split(".")
    known = len(names) > 1 and (names[1] in MAY_IMPORT or names[1] in ("msg", "srv", "action"))
    return names[1] if known else "__init__"


SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_every_part_has_a_place_in_the_order() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}

    assert parts <= set(MAY_IMPORT), f"without a place: {sorted(parts - set(MAY_IMPORT))}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_imports_go_one_way(source: Path) -> None:
    own = part(".".join(source.relative_to(REPOSITORY).with_suffix("").parts))
    used = {part(name) for name in imported(source) if name.split(".")[0] == "merge_ros"} - {own, "__init__"}

    assert used <= MAY_IMPORT[own], f"{own} may not import {sorted(used - MAY_IMPORT[own])}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_third_parties_stay_in_their_part(source: Path) -> None:
    where = source.relative_to(PACKAGE).with_suffix("").as_posix()
    used = {name.split(".")[0] for name in imported(source)} - set(sys.stdlib_module_names) - {"merge_ros"}

    unknown = used - set(THIRD_PARTIES)
    assert not unknown, f"not in THIRD_PARTIES, so perhaps in no extra and not in package.xml: {sorted(unknown)}"
    for name in used:
        parts = THIRD_PARTIES[name][2]
        assert parts is None or any(where == p or where.startswith(p + "/") for p in parts), f"{where} imports {name}"


def test_every_third_party_in_use_is_a_declared_dependency() -> None:
    tomllib = pytest.importorskip("tomllib", reason="tomllib reads pyproject.toml from Python 3.11 on")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    base = {requirement_name(line) for line in project["dependencies"]}
    extras = {requirement_name(line) for lines in project["optional-dependencies"].values() for line in lines}
    manifest = ET.parse(REPOSITORY / "package.xml").getroot()
    keys = {element.text for tag in ("depend", "exec_depend") for element in manifest.findall(tag)}
    used = {name.split(".")[0] for source in SOURCES for name in imported(source)} & set(THIRD_PARTIES)

    for name in used:
        requirement, key, parts = THIRD_PARTIES[name]
        listed = base if parts is None else base | extras
        assert requirement is None or requirement in listed, f"pyproject.toml lacks {requirement}"
        assert key is None or key in keys, f"package.xml lacks {key}"


def requirement_name(requirement: str) -> str:
    """The normalised distribution name at the start of a requirement."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()  # type: ignore[index]


@pytest.mark.parametrize(
    "module",
    [
        "merge_ros",
        "merge_ros.errors",
        "merge_ros.config",
        "merge_ros.scale",
        "merge_ros.geometry",
        "merge_ros.generator",
        "merge_ros.cli.main",
    ],
)
def test_the_light_modules_load_neither_torch_nor_ros(module: str) -> None:
    heavy = {"torch", "diffusers", "transformers", "rclpy", "mujoco"}
    code = f"import sys, {module}; print(*({heavy} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert loaded.split() == []
