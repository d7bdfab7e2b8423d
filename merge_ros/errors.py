"""The one family of errors that merge_ros raises on purpose.

Everything a caller may want to catch derives from `MergeError`. Anything else that leaves the package is a bug.
Each message says what came and what is allowed.
"""


class MergeError(Exception):
    """Base of every error raised on purpose by merge_ros."""


class ConfigurationError(MergeError, ValueError):
    """A setting, or a combination of settings, that is not allowed."""


class CheckpointError(MergeError):
    """A model folder that is missing, incomplete, foreign, or whose parts do not fit each other."""


class InputError(MergeError, ValueError):
    """An array, image or message that is malformed."""


class EncodingError(InputError):
    """An image encoding that is unknown or not usable here."""


class CalibrationError(InputError):
    """Camera intrinsics that are missing, empty, or do not belong to the image."""


class ScaleError(MergeError):
    """Metric scale cannot be found from what was given."""


class BackendError(MergeError):
    """An inference backend that is unavailable or failed."""


class GenerationCancelled(MergeError):
    """Image generation was stopped by its step callback: an order that was obeyed, not a fault."""


class InferenceTimeout(BackendError):
    """The model has not answered in time."""


class BusyError(MergeError):
    """Too many requests wait already."""


class RefusedError(MergeError):
    """A request that the present mode does not allow."""


class MissingDependencyError(MergeError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed: pip install 'merge_ros[{extra}]'"
        )


class OutputError(MergeError):
    """A result that cannot be written: a full or read-only disk, or a folder that is a file."""


class DatasetError(MergeError):
    """A data folder or recording that is missing, incomplete or malformed."""


class TrainingError(MergeError):
    """A training that cannot go on: a loss that is not a number, or a disk that is full."""
