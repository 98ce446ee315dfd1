"""OpenVINO: the fast CPU runtime, in fp32, or in bf16 and fp16 where the processor has them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, MissingDependencyError, ModelError
from .base import Port, RuntimeInfo, Source, package_found

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_TELEMETRY = "openvino_telemetry"


def is_installed() -> bool:
    """Whether openvino is there."""
    return package_found("openvino")


def offers_cuda() -> bool:
    """Never: OpenVINO has no NVIDIA device."""
    return False


def open_session(source: Source, *, device: str, precision: str, threads: int) -> OpenVinoSession:
    """Open an ONNX file; see ``base.Runtime.open_session``.

    The precision is always set, since OpenVINO's default is bf16 on processors that have it, and read back,
    since it silently takes fp32 on those that don't.
    """
    if device != "cpu":
        raise DeviceError(f"openvino runs on cpu, not on {device}: use --runtime onnxruntime")
    if precision not in _HINTS:
        raise DeviceError(f"openvino runs in {', '.join(_HINTS)}, not in {precision}: use --precision fp32")
    ov = _import()
    model, compiled = _compile(ov, source, precision, threads)
    got = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if got != _HINTS[precision]:
        raise DeviceError(
            f"openvino was asked for {precision} and took {got}: this processor does not have {precision}; "
            "use --precision fp32"
        )
    version = ov.__version__.split("-")[0]
    threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
    return OpenVinoSession(model, compiled, RuntimeInfo("openvino", version, device, precision, threads))


class OpenVinoSession:
    """An opened file. Each thread gets a request of its own, so ``run`` may be called from several."""

    def __init__(self, model: Any, compiled: Any, info: RuntimeInfo) -> None:
        self._compiled = compiled
        self._local = threading.local()
        self.info = info
        # Fused nodes leave their names on what they were fused into; the model as it was read has one each.
        self.inputs = tuple(map(_port, compiled.inputs, model.inputs))
        self.outputs = tuple(map(_port, compiled.outputs, model.outputs))

    def run(self, tensor: NDArray[np.float32], output: str | None = None) -> NDArray[np.float32]:
        """The output called ``output``, or the first, for ``tensor`` (1, C, D, H, W); a copy of its own.

        Raises:
            ModelError: the network fails on it.
        """
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        try:
            request.infer([tensor], share_inputs=True)
            return request.get_tensor(output or self.outputs[0].name).data.copy()
        except RuntimeError as error:
            raise ModelError(f"openvino cannot run the model: {_one_line(error)}") from error


def _compile(ov: Any, source: Source, precision: str, threads: int) -> tuple[Any, Any]:
    """The model as it was read, and compiled."""
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": "1",
    }
    core = ov.Core()
    try:
        model = core.read_model(source if isinstance(source, bytes) else os.fspath(source))
        _fix_batch(model)
        return model, core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        name = "the model" if isinstance(source, bytes) else os.fspath(source)
        raise ModelError(
            f"{name}: openvino {ov.__version__.split('-')[0]} cannot open it: {_one_line(error)}; "
            "try --runtime onnxruntime"
        ) from error


def _fix_batch(model: Any) -> None:
    """A free batch size becomes 1, the size we feed: kernels for known shapes are faster."""
    shape = model.inputs[0].get_partial_shape()
    if shape.rank.is_static and shape[0].is_dynamic and all(n.is_static for n in list(shape)[1:]):
        shape[0] = 1
        model.reshape(shape)


@cache
def _import() -> Any:
    try:
        with _no_telemetry():
            import openvino
    except ImportError as error:
        raise MissingDependencyError('openvino is not installed: pip install "voxzoo[openvino]"') from error
    return openvino


@contextmanager
def _no_telemetry() -> Iterator[None]:
    """Hide openvino_telemetry: importing openvino sends an event to a web service unless it is absent."""
    absent = object()
    previous: Any = sys.modules.get(_TELEMETRY, absent)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if previous is absent:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = previous


def _one_line(error: Exception) -> str:
    """The last words of OpenVINO's stack of messages: the first ones are source lines of its own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Exception from ")]
    return " ".join(told or lines)[:500]


def _port(port: Any, named: Any) -> Port:
    shape = tuple(n.get_length() if n.is_static else None for n in port.get_partial_shape())
    dtype = port.get_element_type().get_type_name()
    return Port(named.get_any_name(), shape, "float32" if dtype == "f32" else dtype)
