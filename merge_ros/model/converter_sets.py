"""Several converter sets on one frozen backbone: depth, normals, or your own, changed while the backbone stays."""

from __future__ import annotations

from merge_ros.errors import ConfigurationError
from merge_ros.model.checkpoint import Checkpoint
from merge_ros.model.locate import find_model
from merge_ros.model.memory import place
from merge_ros.model.networks import Converter, load_converters


class ConverterSets:
    """Converter sets by name; one of them, or none, is plugged in.

    Args:
        checkpoint: its backbone is the one that all sets share; its own set is the first one here.
        task: name of that set.
    """

    def __init__(self, checkpoint: Checkpoint, task: str = "depth") -> None:
        self._checkpoint = checkpoint
        self._sets: dict[str, Converter] = {task: checkpoint.converter}
        self._active: str | None = task

    @property
    def names(self) -> tuple[str, ...]:
        """The sets that are loaded."""
        return tuple(self._sets)

    @property
    def active(self) -> str | None:
        """The set that is plugged in; None: image mode only."""
        return self._active

    def load(self, task: str, converters: str = "") -> None:
        """Load another set, beside those that are here; nothing is plugged in by it.

        Args:
            task: its name: it is in the folder `TASK_converters/`.
            converters: where that is, if not in the checkpoint's own folder: a folder or a Hugging Face id.

        Raises:
            ConfigurationError: a set of that name is loaded already.
            CheckpointError: it is not there, damaged, or for another backbone.
        """
        if task in self._sets:
            raise ConfigurationError(f"a converter set {task!r} is loaded already")
        checkpoint, name = self._checkpoint, f"{task}_converters"
        folder = (find_model(converters, (name,)) if converters else checkpoint.folder) / name
        quantized = checkpoint.plan.loader_settings()
        converter = load_converters(checkpoint.folder, folder, dtype=checkpoint.dtype, **quantized)
        checkpoint.network.check_fit(converter)
        place(converter, checkpoint.device, checkpoint.plan)
        self._sets[task] = converter

    def switch(self, task: str | None) -> None:
        """Plug a set in, in the place of the one that is in; None takes all out. No weight is moved or copied.

        Raises:
            ConfigurationError: no set of that name is loaded.
        """
        if task is None:
            self._checkpoint.network.unplug()
        elif task in self._sets:
            self._checkpoint.network.plug(self._sets[task])
        else:
            raise ConfigurationError(f"no converter set {task!r} is loaded; loaded: {', '.join(self._sets)}")
        self._active = task
