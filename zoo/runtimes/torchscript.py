"""TorchScript in torch: asked for by name only, since such files run code of their own.

Who may be run is decided in ``torchfile.check_trust`` before anything is opened here.
"""

from __future__ import annotations

import os
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

from .. import torchfile
from ..errors import DeviceError, MissingDependencyError, ModelError
from .base import Port, RuntimeInfo, Source, package_found

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def is_installed() -> bool:
    """Whether torch is there."""
    return package_found("torch")


def offers_cuda() -> bool:
    """Whether torch sees an NVIDIA GPU."""
    return is_installed() and bool(import_torch().cuda.is_available())


def open_session(source: Source, *, device: str, precision: str, threads: int) -> TorchScriptSession:
    """Open a TorchScript file; see ``base.Runtime.open_session``. Threads are torch's, process-wide.

    Input and output go by the names in the file's contract: TorchScript itself has none.
    """
    if isinstance(source, bytes):
        raise ModelError("torchscript opens files, not bytes")
    if precision != "fp32":
        raise DeviceError(f"torchscript runs in fp32, not in {precision}: use --precision fp32")
    contract = torchfile.inspect(source).contract()
    torch = import_torch()
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"torch {torch.__version__} finds no NVIDIA GPU: use --device cpu")
    torch.set_num_threads(threads)
    info = RuntimeInfo("torchscript", torch.__version__, device, precision, torch.get_num_threads())
    spec, output = contract.input, contract.output
    grid = () if output.kind == "classes" else spec.shape
    return TorchScriptSession(
        _load(torch, source, device),
        info,
        Port(spec.name, (None, len(spec.channels), *spec.shape), "float32"),
        Port(output.name, (None, len(output.channels), *grid), "float32"),
    )


class TorchScriptSession:
    """An opened file; ``run`` may be called from several threads."""

    def __init__(self, module: Any, info: RuntimeInfo, source: Port, output: Port) -> None:
        self._module = module
        self.info = info
        self.inputs: tuple[Port, ...] = (source,)
        self.outputs: tuple[Port, ...] = (output,)

    def run(self, tensor: NDArray[np.float32], output: str | None = None) -> NDArray[np.float32]:
        """The output for ``tensor`` (1, C, ...); there is one, so ``output`` changes nothing.

        Raises:
            ModelError: the network fails on it.
        """
        torch = import_torch()
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        try:
            with torch.inference_mode(), exact:
                given = torch.from_numpy(tensor).to(self.info.device)
                return self._module(given).float().cpu().numpy()
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise ModelError(f"torch cannot run the model: {lines[-1][:500]}") from error


def _load(torch: Any, source: str | os.PathLike[str], device: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls TorchScript deprecated
            return torch.jit.load(os.fspath(source), map_location=device).eval()
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"{os.fspath(source)}: torch cannot open it: {first[:500]}") from error


@cache
def import_torch() -> Any:
    """The package torch; the one place below ``export`` that imports it.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError('torch is not installed: pip install "voxzoo[train]"') from error
    return torch
