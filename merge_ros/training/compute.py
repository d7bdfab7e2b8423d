"""How training uses this machine: precision, threads, and two or more processes that share the gradient."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import nn
from torch.multiprocessing.spawn import spawn

from merge_ros.errors import ConfigurationError

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(message)s"
PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Worker:
    """One process of a training run.

    Args:
        rank: number of this process, from 0; the first one writes files.
        count: processes in the run.
        bf16: whether forward passes run in bfloat16.
    """

    rank: int = 0
    count: int = 1
    bf16: bool = False

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of forward passes."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bf16)

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, parts, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()


def has_fast_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512_BF16 or AMX); without it bf16 is slower than fp32."""
    has = torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported
    return any(check() for check in has)


def use_plain_attention(*modules: nn.Module) -> None:
    """Attention by matmul and softmax: torch's flash attention is the slow half of a backward pass on CPUs."""
    for module in modules:
        for part in module.modules():
            if isinstance(part, Attention):
                part.set_processor(AttnProcessor())


def compiled(module: nn.Module) -> Callable[..., Any]:
    """The module fused by torch.compile (about 1.3 times faster in training on a CPU), or as it is without a compiler.

    Give it one shape per call site: each new shape costs a minute.
    """
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        logger.info("no C++ compiler: training runs uncompiled")
        return module
    fused: Callable[..., Any] = torch.compile(module, dynamic=False)
    return fused


def launch(train: Callable[..., None], processes: int, *arguments: Any) -> None:
    """Run `train(worker, *arguments)` in several one-thread processes, or here with all threads when one is asked for.

    On a shared machine, processes that each own one thread lose far less to their neighbours than threads that wait
    for each other in every operation.

    Raises:
        ConfigurationError: fewer than one process.
    """
    if processes < 1:
        raise ConfigurationError(f"processes={processes} must be at least 1")
    bf16 = has_fast_bf16()
    if processes == 1:
        train(Worker(bf16=bf16), *arguments)
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spawn(_start, (train, processes, port, bf16, arguments), nprocs=processes)  # type: ignore[no-untyped-call]


def _start(
    rank: int, train: Callable[..., None], count: int, port: int, bf16: bool, arguments: tuple[Any, ...]
) -> None:
    if sys.platform == "linux":
        # Die with the parent, however it dies: an orphan would go on training into the same files.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, datefmt="%H:%M:%S")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    store = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=count)
    try:
        train(Worker(rank, count, bf16), *arguments)
    finally:
        dist.destroy_process_group()


class Clock:
    """Seconds of work, kept over restarts."""

    def __init__(self, before: float = 0.0) -> None:
        self._before, self._start = before, time.monotonic()

    def seconds(self) -> float:
        return self._before + time.monotonic() - self._start
