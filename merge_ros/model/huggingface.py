"""Ask the Hugging Face hub for models, and bring their files so that a download that was cut off goes on.

huggingface_hub keeps whole files between calls, but (seen in its 2.4) begins again with a file that a process left
unfinished. Weights have gigabytes per file, so they come by `_bring`, which asks for the missing rest.
"""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from merge_ros.errors import CheckpointError, MissingDependencyError
from merge_ros.model.hub import HubFile, Plan


class HuggingFaceHub:
    """The hub itself, or with `offline` only what earlier downloads left in its cache.

    Raises:
        MissingDependencyError: huggingface_hub is not installed.
    """

    def __init__(self, *, offline: bool = False) -> None:
        try:
            import huggingface_hub.constants
            import huggingface_hub.file_download
            import huggingface_hub.utils
        except ImportError as error:
            raise MissingDependencyError("huggingface_hub", "torch", "fetching a model") from error
        self._client: Any = huggingface_hub
        self._offline = offline

    def describe(self, hub_id: str) -> Any:
        """See `Hub`.

        Raises:
            CheckpointError: the hub cannot be reached, or does not have it.
        """
        try:
            return self._client.HfApi().model_info(hub_id, files_metadata=True)
        except Exception as error:  # the client raises many unrelated types; each means that there is no answer
            raise CheckpointError(
                f"the hub gives no answer about {hub_id!r}: {error}. Without a network, --offline takes what was "
                "downloaded earlier; for gated models, log in first (`hf auth login`)"
            ) from error

    def download(self, plan: Plan, target: Path | None) -> Path:
        """See `Hub`.

        Args:
            plan: what to bring.
            target: a folder; None: the hub's cache, where other programs find it too.

        Raises:
            CheckpointError: the download failed, or another process is at it.
        """
        try:
            for file in plan.files:
                if file.large:
                    self._bring(plan, file, self._place(plan, file, target))
        except CheckpointError:
            raise
        except Exception as error:  # as above
            raise CheckpointError(
                f"{plan.hub_id!r} cannot be had: {error} (what came is kept, and the next call goes on from there)"
            ) from error
        # In a folder of the caller's, all that is left; in the cache also the names under which it lists large files.
        rest = [file.name for file in plan.files if target is None or not file.large]
        return self.find(plan.hub_id, rest, revision=plan.revision, target=target)

    def find(
        self, hub_id: str, patterns: Sequence[str], *, revision: str | None = None, target: Path | None = None
    ) -> Path:
        """The folder of a repository with all files that match the patterns, which huggingface_hub itself brings.

        Raises:
            CheckpointError: they cannot be had; with `offline`: they are not in the cache.
        """
        if target is not None and not patterns:
            return target
        try:
            return Path(
                self._client.snapshot_download(
                    hub_id,
                    revision=revision,
                    allow_patterns=list(patterns),
                    local_dir=target,
                    local_files_only=self._offline,
                )
            )
        except Exception as error:  # as above
            more = "it is not in the cache" if self._offline else "the next call goes on with what is missing"
            raise CheckpointError(f"{hub_id!r} cannot be had: {error} ({more})") from error

    def _place(self, plan: Plan, file: HubFile, target: Path | None) -> Path:
        """Where a large file belongs; in the cache files are named by their hash, and snapshots link to them."""
        if target is not None:
            return target / file.name
        repository = self._client.file_download.repo_folder_name(repo_id=plan.hub_id, repo_type="model")
        return Path(self._client.constants.HF_HUB_CACHE, repository, "blobs", file.digest)

    def _bring(self, plan: Plan, file: HubFile, place: Path) -> None:
        """Download one file, or what an earlier call has not brought of it, and put it in its place."""
        if place.is_file() and place.stat().st_size == file.size:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{file.digest}.part")
        with partial.open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CheckpointError(f"another process is downloading {partial}; wait for it, or end it") from error
            if stream.tell() > file.size:
                stream.truncate(0)
            self._client.file_download.http_get(
                self._client.hf_hub_url(plan.hub_id, file.name, revision=plan.revision),
                stream,
                resume_size=stream.tell(),
                headers=self._client.utils.build_hf_headers(),
                expected_size=file.size,
                displayed_filename=file.name,
            )
            partial.replace(place)
