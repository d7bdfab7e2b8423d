"""Which engine `backend: auto` takes here, and why: what is installed, what this machine has, what the model can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, MergeError, MissingDependencyError
from merge_ros.model.codec import read_config
from merge_ros.model.locate import find_model
from merge_ros.runtime.export_cache import export_problem
from merge_ros.runtime.foldable import folding_problem
from merge_ros.runtime.installed import PACKAGES, BackendReport, has_bf16, survey
from merge_ros.runtime.nvidia import gpu_count


@dataclass(frozen=True)
class Choice:
    """What "auto" comes to.

    Args:
        settings: the same with backend, device and precision named.
        reason: why, in one line.
    """

    settings: EstimatorSettings
    reason: str


def choose(settings: EstimatorSettings) -> Choice:
    """Name the backend that "auto" stands for.

    A device, precision or torch mode that the settings name is kept; only backends that have it are looked at.

    Raises:
        BackendError: nothing that is installed can run these settings here.
        MissingDependencyError: no engine is installed at all.
        CheckpointError: the model cannot be found.
    """
    reports = {report.backend: report for report in survey()}
    if not any(report.version for report in reports.values()):
        raise MissingDependencyError("onnxruntime", "onnx", "estimating depth")
    steps = denoising_steps(settings)
    if steps != 1:
        return _named(settings, reports, "torch", f"only torch runs the {steps} denoising steps of this model")
    if settings.torch_mode != "auto":
        return _named(settings, reports, "torch", f"torch_mode {settings.torch_mode!r} is torch's")
    if problem := folding_problem(settings):
        return _named(settings, reports, "torch", problem)
    reasons = []
    for rule in _RULES:
        choice, why_not = rule(settings, reports)
        if choice is not None:
            return choice
        reasons.append(why_not)
    raise BackendError(
        f"no backend that is installed runs device {settings.device!r} in precision {settings.precision!r}: "
        + "; ".join(reason for reason in reasons if reason)
    )


_Verdict = tuple[Choice | None, str]


def _nvidia(settings: EstimatorSettings, reports: dict[str, BackendReport]) -> _Verdict:
    """The engines for NVIDIA GPUs, fastest first."""
    for backend, precision, reason in (
        ("tensorrt", "fp16", "an NVIDIA GPU and TensorRT are here"),
        ("tensorrt_rtx", "fp16", "an NVIDIA GPU and TensorRT-RTX are here"),
        ("torch", "fp16", "an NVIDIA GPU and a torch that sees it are here, and no TensorRT"),
        ("onnx", "fp32", "an NVIDIA GPU and an ONNX Runtime with CUDA are here, and nothing faster"),
    ):
        device = next((name for name in reports[backend].devices if name.startswith("cuda")), None)
        if device is None or _off(settings.device, device) or settings.precision not in ("auto", precision):
            continue
        if backend == "torch" and settings.model.endswith(".onnx"):
            continue
        if backend != "torch" and export_problem(settings):
            continue
        if backend.startswith("tensorrt") and settings.model.endswith(".onnx"):
            precision = "auto"  # what the file holds
        return _chosen(settings, backend, device, precision, reason), ""
    return None, "no engine sees an NVIDIA GPU" if gpu_count() == 0 else "no engine installed uses the NVIDIA GPU"


def _openvino_bf16(settings: EstimatorSettings, reports: dict[str, BackendReport]) -> _Verdict:
    if "cpu" not in reports["openvino"].devices:
        return None, reports["openvino"].note or "openvino is not installed"
    if _off(settings.device, "cpu") or settings.precision not in ("auto", "bf16"):
        return None, ""
    if problem := export_problem(settings):
        return None, problem
    if not has_bf16():
        return None, "this processor has no bf16 arithmetic"
    if settings.precision == "bf16":
        return _chosen(settings, "openvino", "cpu", "bf16", "bf16 was asked for, and OpenVINO has it here"), ""
    from merge_ros.runtime.bf16_cost import bf16_verdict

    allowed, why = bf16_verdict(settings)
    return (_chosen(settings, "openvino", "cpu", "bf16", why), "") if allowed else (None, why)


def _onnx(settings: EstimatorSettings, reports: dict[str, BackendReport]) -> _Verdict:
    if "cpu" not in reports["onnx"].devices:
        return None, reports["onnx"].note
    if problem := export_problem(settings):
        return None, problem
    if _off(settings.device, "cpu") or settings.precision not in ("auto", "fp32"):
        return None, ""
    refused = _openvino_bf16(settings, reports)[1]
    return _chosen(settings, "onnx", "cpu", "fp32", f"the fastest in fp32 on a CPU; {refused or 'fp32 asked for'}"), ""


def _openvino(settings: EstimatorSettings, reports: dict[str, BackendReport]) -> _Verdict:
    devices = reports["openvino"].devices
    device = "cpu" if settings.device == "auto" else settings.device
    if device.lower() not in devices:
        return None, reports["openvino"].note or f"OpenVINO has {', '.join(devices)}"
    if problem := export_problem(settings):
        return None, problem
    return _chosen(settings, "openvino", device, "fp32", "OpenVINO has this device, and no faster engine has"), ""


def _torch(settings: EstimatorSettings, reports: dict[str, BackendReport]) -> _Verdict:
    if not reports["torch"].version or settings.model.endswith(".onnx"):
        return None, reports["torch"].note or "torch does not run .onnx files"
    if settings.device != "auto" and settings.device.partition(":")[0] not in ("cpu", "cuda"):
        return None, f"torch has no device {settings.device!r}"
    device = "cpu" if settings.device == "auto" else settings.device
    reason = "no faster engine can run it here; pip install 'merge_ros[onnx,export]' brings one"
    return _chosen(settings, "torch", device, "fp32", reason), ""


_RULES: tuple[Callable[[EstimatorSettings, dict[str, BackendReport]], _Verdict], ...] = (
    _nvidia,
    _openvino_bf16,
    _onnx,
    _openvino,
    _torch,
)


def _named(settings: EstimatorSettings, reports: dict[str, BackendReport], backend: str, reason: str) -> Choice:
    if not reports[backend].version:
        raise MissingDependencyError(*PACKAGES[backend], reason)
    return Choice(replace(settings, backend=backend), reason)


def _chosen(settings: EstimatorSettings, backend: str, device: str, precision: str, reason: str) -> Choice:
    device = device if settings.device == "auto" else settings.device
    precision = precision if settings.precision == "auto" else settings.precision
    return Choice(replace(settings, backend=backend, device=device, precision=precision), reason)


def _off(wanted: str, offered: str) -> bool:
    """Whether another kind of device was asked for than this engine offers."""
    return wanted != "auto" and wanted.lower().partition(":")[0] != offered.partition(":")[0]


def denoising_steps(settings: EstimatorSettings) -> int:
    """Denoising steps that these settings come to, without loading a weight."""
    if settings.steps > 1 or (settings.model.endswith(".onnx") and Path(settings.model).is_file()):
        return max(settings.steps, 1)
    place = settings.converters or settings.model
    name = f"{settings.task}_converters"
    config = read_config(find_model(place, (name,)) / name)
    if config.get("depth_timestep") is not None:
        return 1
    return settings.steps or int(config.get("num_inference_steps", 0))


def explain(settings: EstimatorSettings) -> str:
    """One line on what these settings would run, or why they cannot."""
    if settings.backend != "auto":
        return f"{settings.backend}: asked for by name"
    try:
        choice = choose(settings)
    except MergeError as error:
        return f"nothing: {error}"
    chosen = choice.settings
    return f"{chosen.backend} on {chosen.device} in {chosen.precision}: {choice.reason}"
