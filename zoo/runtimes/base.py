"""What voxzoo asks of a runtime, the runtimes there are, and the choice among them.

A runtime is a module of this folder with the functions of ``Runtime``: a new model family is one new file
and one line in ``RUNTIMES``. The device and the precision that were asked for are the ones that run, or
opening fails: nothing falls back silently.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, cast

from ..errors import DeviceError, MissingDependencyError, UsageError
from .threads import default_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RUNTIMES: dict[str, str] = {"openvino": ".openvino", "onnxruntime": ".onnxruntime"}
"""Name -> module, the fastest on a CPU first; "auto" chooses among these."""

BY_NAME: dict[str, str] = {"torchscript": ".torchscript"}
"""Runtimes that run code of the model's own: never chosen, only asked for."""

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")

Source = str | os.PathLike[str] | bytes


@dataclass(frozen=True)
class RuntimeInfo:
    """What really runs: read back from the runtime, not what was asked for.

    Attributes:
        name: "onnxruntime", "openvino", "voxzoo" (code of our own).
        version: of that package.
        device: "cpu" or "cuda".
        precision: of the arithmetic: "fp32", "tf32", "bf16", "fp16".
        threads: inside one call.
    """

    name: str
    version: str
    device: str
    precision: str
    threads: int

    def __str__(self) -> str:
        plural = "" if self.threads == 1 else "s"
        return f"{self.name} {self.version}, {self.device}, {self.precision}, {self.threads} thread{plural}"


@dataclass(frozen=True)
class Port:
    """An input or output of a network: its name, its shape (None where it is free), its dtype's name."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Session(Protocol):
    """An opened model file, ready to run. Safe to call from several threads."""

    info: RuntimeInfo
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def run(self, tensor: NDArray[np.float32], output: str | None = None) -> NDArray[np.float32]:
        """Feed the first input with ``tensor`` (1, C, D, H, W); give that output, or the first."""
        ...


class Runtime(Protocol):
    """The functions of a runtime's module."""

    def is_installed(self) -> bool:
        """Whether its package can be imported (without importing it)."""
        ...

    def offers_cuda(self) -> bool:
        """Whether it says that it could use an NVIDIA GPU."""
        ...

    def open_session(self, source: Source, *, device: str, precision: str, threads: int) -> Session:
        """Open a model file on exactly this device ("cpu" or "cuda") and in exactly this precision.

        Raises:
            MissingDependencyError: the package is absent.
            DeviceError: it cannot do that device or precision, or did another one.
            ModelError: it cannot open the file.
        """
        ...


def get_runtime(name: str) -> Runtime:
    """The module of the runtime called ``name``.

    Raises:
        UsageError: there is none.
    """
    modules = RUNTIMES | BY_NAME
    if name not in modules:
        raise UsageError(f"unknown runtime {name!r}: expected one of auto, {', '.join(modules)}")
    return cast(Runtime, import_module(modules[name], __package__))


def package_found(name: str) -> bool:
    """Whether the package can be imported, without doing it."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # sys.modules[name] is None, or a module without a spec
        return False


def open_session(
    source: Source,
    runtime: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
) -> Session:
    """Open a model file in the runtime asked for, or in the fastest that does what is asked.

    Args:
        source: path or bytes of an ONNX file, path of a TorchScript file.
        runtime: "auto", "onnxruntime", "openvino" or "torchscript".
        device: "auto" (the GPU if a runtime offers one that works), "cpu" or "cuda".
        precision: "fp32", "tf32", "bf16", "fp16".
        threads: inside one call; default: the physical cores this process may use.

    Returns:
        A session whose ``info`` says what was obtained.

    Raises:
        UsageError: an unknown word, or fewer than one thread.
        DeviceError: no runtime does that device in that precision.
        MissingDependencyError: no runtime is installed.
        ModelError: the file cannot be opened.
    """
    _check_words(device, precision, threads)
    names = [runtime] if runtime != "auto" else [n for n in RUNTIMES if get_runtime(n).is_installed()]
    if not names:
        raise MissingDependencyError('no runtime is installed: pip install "voxzoo[cpu]"')
    refusals: list[str] = []
    for name, where in _candidates(names, device):
        try:
            session = get_runtime(name).open_session(
                source, device=where, precision=precision, threads=threads or default_threads()
            )
        except DeviceError as error:
            refusals.append(f"{where}: {error}")
            continue
        _tell_lost_gpu(session, refusals)
        return session
    raise DeviceError("; ".join(text.split(": ", 1)[1] for text in refusals))


def _tell_lost_gpu(session: Session, refusals: Sequence[str]) -> None:
    """With device "auto" a GPU that was offered and then refused is worth a line: the run will be slow."""
    lost = [text for text in refusals if text.startswith("cuda: ")]
    if lost:
        warnings.warn(f"{lost[0]}; running on {session.info.device}", RuntimeWarning, stacklevel=3)


def _candidates(names: Sequence[str], device: str) -> list[tuple[str, str]]:
    """(runtime, device) in the order to try; "auto" tries an offered GPU, then the CPU."""
    if device != "auto":
        return [(name, device) for name in names]
    with_gpu = [(name, "cuda") for name in names if get_runtime(name).offers_cuda()]
    return with_gpu + [(name, "cpu") for name in names]


def _check_words(device: str, precision: str, threads: int | None) -> None:
    for what, got, known in (("device", device, DEVICES), ("precision", precision, PRECISIONS)):
        if got not in known:
            raise UsageError(f"unknown {what} {got!r}: expected one of {', '.join(known)}")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise UsageError(f"threads has to be a whole number of at least 1, got {threads!r}")
