"""The folded depth path in torch: as it is, compiled, or replayed as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, ConfigurationError
from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.runtime.check_image import check_image
from merge_ros.runtime.exported import ExportedModel, check_batch, check_size
from merge_ros.runtime.graph import DepthGraph, fold_checkpoint
from merge_ros.runtime.recent_shapes import RecentShapes
from merge_ros.runtime.torch_device import DTYPES, find_device


class FoldedEngine:
    """Runs a folded one-step checkpoint with torch; a `merge_ros.runtime.engine.DepthEngine`.

    `settings.torch_mode` says how: "folded" runs the layers one by one, "compiled" through `torch.compile` (once per
    batch and image size, at the first image of that size), "cuda_graph" records the kernels of each size once and
    replays them, which needs a GPU. On a GPU, pixels go through pinned memory, and everything runs on one stream.

    Raises:
        BackendError: the device is not here, compiling failed, or the engine computes wrong depth.
        CheckpointError: the model cannot be loaded.
        ConfigurationError: the checkpoint cannot be folded, several steps, or CUDA graphs without CUDA.
    """

    def __init__(self, settings: EstimatorSettings) -> None:
        if settings.steps > 1:
            raise ConfigurationError(f"torch_mode {settings.torch_mode!r} runs one step, not {settings.steps}")
        device = find_device(settings.device)
        mode = "folded" if settings.torch_mode == "auto" else settings.torch_mode
        precision = "fp32" if settings.precision == "auto" else settings.precision
        if mode == "cuda_graph" and device.type != "cuda":
            raise ConfigurationError(f"torch_mode 'cuda_graph' needs a CUDA device, not {str(device)!r}")
        if settings.threads:
            torch.set_num_threads(settings.threads)
        checkpoint = load_checkpoint(settings.model, settings.converters, task=settings.task, codec=settings.codec)
        self.grid, self.native_pixels = checkpoint.grid, checkpoint.native_pixels
        self.description = (
            f"model {settings.model} with {type(checkpoint.vae).__name__}, backend torch, device {device}, "
            f"precision {precision}, mode {mode}, steps 1"
        )
        graph = fold_checkpoint(checkpoint)
        checked: ExportedModel | None = None
        if precision != "fp32" or mode != "folded" or device.type != "cpu":
            checked = _reference(graph, self.grid, self.native_pixels)
        self._run = _runner(graph.to(DTYPES[precision]), device, mode)
        if checked is not None:
            checked.check(self, precision, self.description)

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `DepthEngine.__call__`.

        Raises:
            InputError: images that no network takes.
            BackendError: the device ran out of memory, or compiling failed.
        """
        check_batch(rgb, self.grid)
        try:
            with torch.inference_mode():
                return self._run(rgb)
        except torch.OutOfMemoryError as error:
            raise BackendError(f"{self.description}: out of memory for images of shape {rgb.shape}: {error}") from error


Runner = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def _reference(graph: DepthGraph, grid: int, native_pixels: int) -> ExportedModel:
    """What the fp32 network gives on the CPU, as an exported file would hold it."""
    size = check_size(native_pixels, grid)
    with torch.inference_mode():
        expected = graph(torch.from_numpy(check_image(*size)))[0].numpy()
    return ExportedModel(grid, native_pixels, "fp32", None, None, expected)


def _runner(graph: DepthGraph, device: torch.device, mode: str) -> Runner:
    # Convolutions are a third faster with channels last (docs/performance.md).
    graph.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch declares no such form
    run: Callable[[Tensor], Tensor] = graph
    if mode == "compiled":
        run = _compiled(graph)
    if device.type == "cpu":
        return lambda rgb: run(torch.from_numpy(rgb)).numpy()
    return _CudaRunner(run, device, replay=mode == "cuda_graph")


def _compiled(graph: DepthGraph) -> Callable[[Tensor], Tensor]:
    compiled = torch.compile(graph, dynamic=False)

    def run(rgb: Tensor) -> Tensor:
        try:
            depth: Tensor = compiled(rgb)
            return depth
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # torch._inductor's errors derive from it; no compiler is the usual one
            raise BackendError(f"torch.compile failed: {error}") from error

    return run


class _CudaRunner:
    """Pinned memory in, one stream, pinned memory out; buffers and recorded graphs are kept per shape."""

    def __init__(self, run: Callable[[Tensor], Tensor], device: torch.device, *, replay: bool) -> None:
        self._run, self._device, self._replay = run, device, replay
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._plans: RecentShapes[_CudaPlan] = RecentShapes()

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.cuda.stream(self._stream):
            plan = self._plans.get(rgb.shape, lambda: _CudaPlan(self._run, rgb.shape, self._device, self._replay))
            return plan(rgb, self._stream)


class _CudaPlan:
    """One shape: its buffers, and its recorded graph where there is one."""

    def __init__(
        self, run: Callable[[Tensor], Tensor], shape: tuple[int, ...], device: torch.device, replay: bool
    ) -> None:
        self._run = run
        self._pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self._input = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._result = torch.empty(shape[:3], dtype=torch.float32, pin_memory=True)
        self._graph: torch.cuda.CUDAGraph | None = None
        if replay:
            for _ in range(3):  # workspaces are allocated and kernels chosen before recording (torch's notes on CUDA)
                run(self._input)
            torch.cuda.current_stream(device).synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=torch.cuda.current_stream(device)):
                self._output = run(self._input)

    def __call__(self, rgb: NDArray[np.uint8], stream: torch.cuda.Stream) -> NDArray[np.float32]:
        self._pinned.numpy()[:] = rgb
        self._input.copy_(self._pinned, non_blocking=True)
        if self._graph is not None:
            self._graph.replay()
        else:
            self._output = self._run(self._input)
        self._result.copy_(self._output, non_blocking=True)
        stream.synchronize()
        return self._result.numpy().copy()
