"""Many prompts into one folder, resumable: `index.jsonl` says what is there.

Each line of the index is one image that is whole: its number, what was asked for, the hash of the model, and its files.
A run that was killed and is called again goes on after the last of them; the same call gives the same files.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from merge_ros.config import GenerationRequest
from merge_ros.errors import ConfigurationError, InputError
from merge_ros.files import atomic_write, safe_name

INDEX = "index.jsonl"


@dataclass(frozen=True)
class Job:
    """One image of a batch.

    Args:
        number: from 0, over all prompts.
        name: of its files.
        request: for this image alone.
    """

    number: int
    name: str
    request: GenerationRequest


def read_prompts(path: Path) -> list[str]:
    """The prompts of a file, one a line; blank lines and those that begin with # are skipped.

    Raises:
        InputError: the file is not there, is no text, or holds no prompt.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"prompts cannot be read from {path}: {error}") from error
    prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        raise InputError(f"{path} holds no prompt; allowed: one on each line, # begins a comment")
    return prompts


class Batch:
    """The images of some prompts, and which of them are in the folder already.

    Args:
        folder: for the results; one that was begun with the same request and model is gone on with.
        prompts: in order; a later call may add further ones at the end.
        request: for the first prompt: its seed is that of the first image, each further one takes the next number. Seed
            0 takes the seeds of a folder that was begun, or else `new_seed`.
        model_hash: see `ImageGenerator.about`.
        new_seed: > 0.

    Raises:
        ConfigurationError: the folder was begun with another request, other prompts or another model.
        InputError: the seeds go past the largest.
    """

    def __init__(
        self, folder: Path, prompts: Sequence[str], request: GenerationRequest, model_hash: str, new_seed: int
    ) -> None:
        self._index = folder / INDEX
        self._model_hash = model_hash
        records = self._read()
        first_seed = request.seed or (records[0]["request"]["seed"] - records[0]["number"] if records else new_seed)
        each = [
            dataclasses.replace(request, prompt=prompt, count=1, seed=first_seed + number)
            for number, prompt in enumerate(prompt for prompt in prompts for _ in range(request.count))
        ]
        self.jobs = [
            Job(number, f"{number:05d}-{safe_name(job.prompt, 40)}-{job.seed}", job) for number, job in enumerate(each)
        ]
        whole = [record for record in records if self._is_done(record)]
        if len(whole) < len(records):
            with atomic_write(self._index) as temporary:
                temporary.write_text("".join(json.dumps(record) + "\n" for record in whole), encoding="utf-8")
        self._done = {record["number"] for record in whole}

    @property
    def missing(self) -> list[Job]:
        """What is still to be done, in order."""
        return [job for job in self.jobs if job.number not in self._done]

    def add(self, job: Job, files: Mapping[str, Path]) -> None:
        """Note an image whose files are written."""
        record = {
            "number": job.number,
            "request": asdict(job.request),
            "model_hash": self._model_hash,
            "files": {kind: path.relative_to(self._index.parent).as_posix() for kind, path in files.items()},
        }
        with self._index.open("a", encoding="utf-8") as index:
            index.write(json.dumps(record) + "\n")
            index.flush()
            os.fsync(index.fileno())
        self._done.add(job.number)

    def _read(self) -> list[dict[str, Any]]:
        """The records of the index; a last line that was cut off by a kill is taken out."""
        if not self._index.is_file():
            return []
        lines = self._index.read_text(encoding="utf-8").splitlines()
        records = []
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                record["number"], record["request"]["seed"], record["files"]  # are they there?
            except (ValueError, KeyError, TypeError) as error:
                if number < len(lines):
                    raise ConfigurationError(
                        f"{self._index}:{number} is no record of a batch; take another folder"
                    ) from error
                with atomic_write(self._index) as whole:
                    whole.write_text("".join(line + "\n" for line in lines[:-1]), encoding="utf-8")
            else:
                records.append(record)
        return records

    def _is_done(self, record: dict[str, Any]) -> bool:
        """Whether a record's files are all there.

        Raises:
            ConfigurationError: it belongs to another batch.
        """
        number = record["number"]
        wanted = asdict(self.jobs[number].request) if 0 <= number < len(self.jobs) else None
        if record["request"] != wanted or record.get("model_hash") != self._model_hash:
            raise ConfigurationError(
                f"{self._index.parent} was begun with other prompts, settings or weights: image {number} is "
                f"{record['request']} of model {record.get('model_hash')}, now {wanted} of {self._model_hash}; take "
                "another folder, or the same call"
            )
        return all((self._index.parent / name).is_file() for name in record["files"].values())
