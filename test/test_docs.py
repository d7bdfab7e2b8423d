"""What the documents tell people to type exists, and their links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from merge_ros.cli.main import build_parser

REPOSITORY = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    *REPOSITORY.glob("*.md"),
    *(REPOSITORY / "docs").glob("*.md"),
    REPOSITORY / "merge_ros" / "merge_tiny" / "README.md",
]


def _commands(start: str) -> list[tuple[str, list[str]]]:
    """(document, words) of each command in a code block, or in backticks, that starts so."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text().replace("\\\n", " ").replace(".venv/bin/", "")
        lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
        for block in re.findall(r"```\w*\n(.*?)```", text, flags=re.DOTALL):
            lines += [line.strip() for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        for line in lines:
            # Brackets are placeholders of a synopsis, not something to type.
            if line.startswith(start) and "[" not in line and "VERB" not in line:
                found.append((document.name, shlex.split(line, comments=True)))
    return found


def test_the_documents_are_found() -> None:
    assert len(DOCUMENTS) > 8
    assert len(_commands("merge-ros ")) > 8


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    prose = re.sub(r"```.*?```|^    .*$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#]+)", prose):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize(("document", "words"), _commands("merge-ros "))
def test_merge_ros_commands_are_understood(document: str, words: list[str]) -> None:
    arguments = words[1:]
    bare_verb = len(arguments) == 1  # named in passing: "`merge-ros export` writes ..."
    try:
        build_parser().parse_args([*arguments, "--help"] if bare_verb else arguments)
    except SystemExit as end:
        assert end.code == 0, f"{document}: {words}"


# Prints what each module says to --help, as JSON; in one process, since most of them import torch.
ASK_FOR_HELP = """
import contextlib, io, json, runpy, sys
told = {}
for module in sys.argv[1:]:
    sys.argv = [module, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            status = None
        except SystemExit as end:
            status = end.code
    told[module] = [status, said.getvalue()]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def help_of(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int | None, str]]:
    """Exit status and text of `python -m MODULE --help`, of every module that the documents name."""
    modules = sorted({words[2] for _, words in _commands("python -m merge_ros.")})
    # Not in the source tree: there, Python would take its merge_ros for the installed one.
    folder = tmp_path_factory.mktemp("help")
    command = [sys.executable, "-c", ASK_FOR_HELP, *modules]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, cwd=folder)
    assert result.returncode == 0, result.stderr
    told: dict[str, tuple[int | None, str]] = json.loads(result.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize(("document", "words"), _commands("python -m merge_ros."))
def test_module_commands_have_the_options_they_are_given(
    help_of: dict[str, tuple[int | None, str]], document: str, words: list[str]
) -> None:
    status, help_text = help_of[words[2]]
    assert status == 0
    for word in words[3:]:
        if word.startswith("--"):
            assert word in help_text, f"{document}: {words}"


def test_launch_commands_use_declared_arguments() -> None:
    launch = pytest.importorskip("launch", reason="launch is not on PyPI; ROS 2 brings it")
    source = launch.launch_description_sources.get_launch_description_from_python_launch_file(
        str(REPOSITORY / "launch" / "depth.launch.py")
    )
    declared = {argument.name for argument in source.get_launch_arguments()}
    commands = _commands("ros2 launch merge_ros depth.launch.py")
    assert len(commands) > 3
    for document, words in commands:
        for word in words[4:]:
            if ":=" in word:
                assert word.split(":=")[0] in declared, f"{document}: {words}"


def test_the_first_command_of_the_readme_works(tmp_path: Path) -> None:
    """`merge-ros depth photo.jpg --out depth/`, with the shipped model."""
    (words,) = (words for document, words in _commands("merge-ros depth photo.jpg") if document == "README.md")
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.full((120, 160, 3), 128, np.uint8))
    command = [sys.executable, "-m", "merge_ros.cli.main", *words[1:]]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    assert np.load(tmp_path / "depth" / "photo_depth.npy").shape == (120, 160)
