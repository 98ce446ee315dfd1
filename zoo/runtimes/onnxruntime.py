"""ONNX Runtime: CPU in fp32; NVIDIA GPUs in fp32 or tf32, asked for by name."""

from __future__ import annotations

import os
import re
import warnings
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, MissingDependencyError, ModelError
from .base import Port, RuntimeInfo, Source, package_found

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PRECISIONS = {"cpu": ("fp32",), "cuda": ("fp32", "tf32")}
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def is_installed() -> bool:
    """Whether onnxruntime (or onnxruntime-gpu, which is imported by the same name) is there."""
    return package_found("onnxruntime")


def offers_cuda() -> bool:
    """Whether the installed build has the CUDA provider; whether a GPU answers shows when it is opened."""
    return is_installed() and _PROVIDERS["cuda"] in _import().get_available_providers()


def open_session(source: Source, *, device: str, precision: str, threads: int) -> OnnxRuntimeSession:
    """Open an ONNX file; see ``base.Runtime.open_session``."""
    ort = _import()
    _check_precision(device, precision)
    if _PROVIDERS[device] not in ort.get_available_providers():
        raise DeviceError(
            f"this onnxruntime {ort.__version__} has no {_PROVIDERS[device]}: "
            'pip uninstall onnxruntime && pip install "voxzoo[gpu]", or use --device cpu'
        )
    session = _open(ort, source, device, precision, threads)
    got = session.get_providers()[0]
    if got != _PROVIDERS[device]:
        raise DeviceError(f"onnxruntime was asked for {_PROVIDERS[device]} and took {got}: use --device cpu")
    return OnnxRuntimeSession(
        session, RuntimeInfo("onnxruntime", ort.__version__, device, precision, threads)
    )


class OnnxRuntimeSession:
    """An opened file; ``run`` may be called from several threads."""

    def __init__(self, session: Any, info: RuntimeInfo) -> None:
        self._session = session
        self.info = info
        self.inputs = tuple(_port(p) for p in session.get_inputs())
        self.outputs = tuple(_port(p) for p in session.get_outputs())

    def run(self, tensor: NDArray[np.float32], output: str | None = None) -> NDArray[np.float32]:
        """The output called ``output``, or the first, for ``tensor`` (1, C, D, H, W).

        Raises:
            ModelError: the network fails on it.
        """
        try:
            return self._session.run([output or self.outputs[0].name], {self.inputs[0].name: tensor})[0]
        except _errors() as error:
            raise ModelError(f"onnxruntime cannot run the model: {_one_line(error)}") from error


def _open(ort: Any, source: Source, device: str, precision: str, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting must not burn a core
    settings = {"use_tf32": "1" if precision == "tf32" else "0"} if device == "cuda" else {}
    model = source if isinstance(source, bytes) else os.fspath(source)
    try:
        return ort.InferenceSession(model, options, providers=[(_PROVIDERS[device], settings)])
    except _errors() as error:
        name = "the model" if isinstance(source, bytes) else os.fspath(source)
        raise ModelError(f"{name}: onnxruntime {ort.__version__} cannot open it: {_reason(error)}") from error


def _check_precision(device: str, precision: str) -> None:
    if precision not in _PRECISIONS[device]:
        raise DeviceError(
            f"onnxruntime runs on {device} in {' or '.join(_PRECISIONS[device])}, not in {precision}: "
            "use --precision fp32, or --runtime openvino for bf16 on a CPU that has it"
        )


def _reason(error: Exception) -> str:
    """The runtime's own words, shortened where they say that the file is too new for it."""
    text = " ".join(str(error).split())
    opset = re.search(r"Opset (\d+) is under development.*?till opset (\d+)", text)
    if opset:
        return f"opset {opset[1]} is newer than its opset {opset[2]}; export with opset 18 or upgrade it"
    ir = re.search(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)", text)
    if ir:
        return f"IR version {ir[1]} is newer than its IR version {ir[2]}; upgrade it"
    return text[:500]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]


@cache
def _import() -> Any:
    """The package, with its telemetry (Windows builds have some) switched off."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError('onnxruntime is not installed: pip install "voxzoo[cpu]"') from error
    onnxruntime.disable_telemetry_events()
    if all(_is_distribution(name) for name in ("onnxruntime", "onnxruntime-gpu")):
        warnings.warn(
            "onnxruntime and onnxruntime-gpu are both installed and share one import name: which one runs "
            "is chance; uninstall both, then install one",
            RuntimeWarning,
            stacklevel=2,
        )
    return onnxruntime


def _is_distribution(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


@cache
def _errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: its own classes share no base but Exception, so they are listed."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception)]
    return (*own, RuntimeError, ValueError)


def _port(port: Any) -> Port:
    shape = tuple(n if isinstance(n, int) else None for n in port.shape or ())
    return Port(port.name, shape, "float32" if port.type == "tensor(float)" else port.type)
