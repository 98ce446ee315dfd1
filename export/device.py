"""Everything that depends on where training runs: device, mixed precision, memory.

On a GPU: TF32 and the precision that the recipe asks for, channels-last volumes, batches made by several
threads ahead of time and copied from pinned memory while the last step still computes. Kernels are chosen
deterministically; where CUDA has no deterministic kernel (3-D pooling backward) a repeated curve agrees to
rounding only. On the CPU it agrees to the bit.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor, nn

from ..zoo.errors import DeviceError, RunError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
#: How torch's CPU allocator words its refusal.
_CPU_REFUSAL = ("not enough memory", "can't allocate memory")


def pick(name: str) -> torch.device:
    """The device that was asked for, or an error: never another one.

    Args:
        name: "cpu", "cuda" or "cuda:1".

    Raises:
        DeviceError: torch does not see it.

    Example:
        >>> pick("cpu")
        device(type='cpu')
    """
    kind, _, index = name.partition(":")
    if not re.fullmatch("cpu|cuda(:[0-9]+)?", name):
        raise DeviceError(f"device {name!r}: expected cpu, cuda or cuda:NUMBER")
    if kind == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= found:
            built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
            raise DeviceError(
                f"device {name!r} was asked for, but torch {torch.__version__} ({built}) sees {found} GPUs; "
                "install a CUDA build of torch and a driver, or give --device cpu"
            )
    return torch.device(name)


def workers(device: torch.device) -> int:
    """Threads that make batches ahead of time: a GPU waits for the CPU, a CPU has no one to wait for."""
    return 1 if device.type == "cpu" else min(8, os.cpu_count() or 1)


def tuned(device: torch.device) -> AbstractContextManager[None]:
    """Deterministic kernels and TF32 on a GPU, put back as they were afterwards; nothing on a CPU."""
    if device.type == "cpu":
        return contextlib.nullcontext()
    return torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=True)


def dense(tensor: Tensor) -> Tensor:
    """The batch with its channels last in memory, which convolutions read fastest."""
    formats = {5: torch.channels_last_3d, 4: torch.channels_last}
    return tensor.contiguous(memory_format=formats.get(tensor.ndim, torch.contiguous_format))


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its convolution weights laid out to match ``dense`` batches."""
    flat = any(isinstance(m, nn.Conv2d) for m in network.modules())
    return network.to(memory_format=torch.channels_last if flat else torch.channels_last_3d)


def send(arrays: Sequence[np.ndarray], device: torch.device) -> tuple[Tensor, ...]:
    """Arrays as tensors on the device; copies to a GPU overlap with what it computes."""
    tensors = [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
    if device.type == "cpu":
        return tuple(tensors)
    return tuple(t.pin_memory().to(device, non_blocking=True) for t in tensors)


class Precision:
    """Forward and backward passes in the precision of the recipe; the weights stay float32.

    Args:
        name: "fp32", "bf16" or "fp16".
        device: where.

    Example:
        >>> with Precision("bf16", torch.device("cpu")).autocast():
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.bfloat16
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.dtype, self.device = DTYPES.get(name), device
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")

    def autocast(self) -> AbstractContextManager[None]:
        """What the forward pass and the loss run in."""
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def step(self, loss: Tensor, optimiser: torch.optim.Optimizer, network: nn.Module, clip: float) -> None:
        """Backward, shorten the gradient to ``clip`` (0 = leave it), and one optimiser step."""
        optimiser.zero_grad()
        self.scaler.scale(loss).backward()
        if clip:
            self.scaler.unscale_(optimiser)
            nn.utils.clip_grad_norm_(network.parameters(), clip)
        self.scaler.step(optimiser)
        self.scaler.update()


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Torch's random state (dropout), to put into a checkpoint."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_state(states: dict[str, Tensor], device: torch.device) -> None:
    """Put back what ``random_state`` gave."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def kept_random_state(device: torch.device) -> AbstractContextManager[None]:
    """The caller's random state comes back at the end."""
    index = torch.cuda.current_device() if device.type == "cuda" and device.index is None else device.index
    return torch.random.fork_rng([index] if device.type == "cuda" else [])


@contextlib.contextmanager
def memory_advice(advice: str) -> Iterator[None]:
    """Turn running out of memory into one line that says what to lower.

    Args:
        advice: e.g. "lower fit.batch (now 16)".

    Raises:
        RunError: in place of torch's or numpy's own.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise RunError(f"out of memory on the GPU: {advice}, and run the same command again") from error
    except MemoryError as error:
        raise RunError(f"out of memory: {advice}, and run the same command again") from error
    except RuntimeError as error:
        if not any(words in str(error) for words in _CPU_REFUSAL):
            raise
        raise RunError(f"out of memory: {advice}, and run the same command again") from error
