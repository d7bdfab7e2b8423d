"""Whether bf16 may be taken unasked: measured on the stored check images, once per model and machine."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace

from merge_ros.config import BF16_COST, EstimatorSettings
from merge_ros.errors import BackendError
from merge_ros.files import keep_for_later
from merge_ros.runtime.check_set import FILE, abs_rel
from merge_ros.runtime.export_cache import cache_folder, exported_model, file_hash
from merge_ros.runtime.openvino_engine import OpenVinoEngine

logger = logging.getLogger(__name__)


def bf16_verdict(settings: EstimatorSettings) -> tuple[bool, str]:
    """Whether OpenVINO's bf16 moves AbsRel on the check set by less than `BF16_COST`, and a line that says by how much.

    Raises:
        BackendError, CheckpointError, MissingDependencyError: the model cannot be run by OpenVINO in fp32.
    """
    key = _key(settings)
    path = cache_folder() / f"bf16-{key[:32]}.json"
    try:
        stored = json.loads(path.read_text())
        fp32, bf16 = float(stored["fp32"]), float(stored["bf16"])
    except (OSError, ValueError, KeyError, TypeError):  # not measured yet, or a damaged file: measure
        logger.info("measuring what bf16 costs on the check images, once per model; this usually takes ten seconds")
        named = replace(settings, backend="openvino", device="cpu")
        fp32 = abs_rel(OpenVinoEngine(replace(named, precision="fp32")))
        try:
            bf16 = abs_rel(OpenVinoEngine(replace(named, precision="bf16")))
        except BackendError as error:  # past the tolerance of the check image
            return False, f"OpenVINO bf16 is refused: {error}"
        keep_for_later(path, json.dumps({"fp32": fp32, "bf16": bf16}).encode())
    moved = abs(bf16 - fp32)
    figures = f"AbsRel on the check images is {fp32:.4f} in fp32 and {bf16:.4f} in bf16"
    if moved < BF16_COST:
        return True, f"this processor has bf16, and it costs nothing: {figures} (allowed: {BF16_COST} apart)"
    return False, f"OpenVINO bf16 is refused: {figures}, {moved:.4f} apart, allowed less than {BF16_COST}"


def _key(settings: EstimatorSettings) -> str:
    import openvino

    parts = (file_hash(exported_model(settings)), file_hash(FILE), openvino.__version__, _cpu())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _cpu() -> str:
    import openvino

    return str(openvino.Core().get_property("CPU", "FULL_DEVICE_NAME"))
