"""From a network, or an ONNX file, to a proved file in some format."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..eval.files import prepare_folder
from ..zoo import onnxfile
from ..zoo.errors import UsageError
from ..zoo.runtimes.base import open_session
from .formats import FORMATS, Format, get_format
from .parity import Gate, Parity, Witness
from .rewrite import Optimised, optimise

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from ..zoo.contract import Contract
    from ..zoo.runtimes.base import Session

#: Largest difference that rounding explains: of plain convolutions, and with normalisation or attention.
ROUNDING, ROUNDING_NORMALISED = 1e-5, 5e-5
#: Inputs that calibration looks at, at most.
CALIBRATION = 32


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how it was proved.

    Attributes:
        path: of the file.
        format: its name, as in ``formats.FORMATS``.
        bytes: its size.
        content_sha256: as in its contract.
        parity: the comparison with the network.
        speed: what became of the rewrites for speed, in words; "" where none were tried.
    """

    path: Path
    format: str
    bytes: int
    content_sha256: str
    parity: Parity
    speed: str = ""

    def __str__(self) -> str:
        speed = f"\n  {self.speed}" if self.speed else ""
        return f"{self.path} ({self.format}, {self.bytes / 1e6:.2f} MB)\n  parity: {self.parity}{speed}"


@dataclass(frozen=True)
class Origin:
    """What is exported.

    Attributes:
        contract: goes into the file.
        session: runs it as it is.
        network: in torch; None if it came from an ONNX file.
        graph: the ONNX file; None if it came from torch.
    """

    contract: Contract
    session: Session
    network: nn.Module | None = None
    graph: onnx.ModelProto | None = None

    @classmethod
    def of_file(cls, path: Path, contract: Contract | None = None) -> Origin:
        """A float32 ONNX file with a contract, inside or given.

        Raises:
            ModelError, ContractError, IntegrityError: as ``onnxfile.inspect`` and ``OnnxFile.contract``.
        """
        import onnx

        file = onnxfile.inspect(path)
        found = contract or file.contract()
        graph = onnx.load(path)
        return cls(found, open_session(path, "onnxruntime", "cpu"), graph=graph)

    @classmethod
    def of_network(cls, network: nn.Module, contract: Contract) -> Origin:
        """A network in torch.

        Raises:
            ContractError: it and the contract contradict each other.
        """
        from .network import NetworkSession, check_shapes

        check_shapes(network, contract)
        return cls(contract, NetworkSession(network, contract), network=network)

    def check_format(self, name: str) -> Format:
        """The format called ``name``, if this can be exported to it.

        Raises:
            UsageError: an unknown format, or TorchScript of what is no torch network.
        """
        if name == "torchscript" and self.network is None:
            raise UsageError("torchscript is exported from torch: give a training folder or weights")
        return get_format(name)

    def rounding(self) -> float:
        """The difference that rounding explains."""
        if self.network is not None:
            kinds = {type(module).__name__ for module in self.network.modules()}
        else:
            kinds = {node.op_type for node in self.graph.graph.node}  # type: ignore[union-attr]
        sums = any("Norm" in kind or "Attention" in kind or kind == "Softmax" for kind in kinds)
        return ROUNDING_NORMALISED if sums else ROUNDING

    def to_onnx(self) -> onnx.ModelProto:
        """The graph, with no metadata."""
        from .onnx import check_versions, strip, to_onnx

        if self.network is not None:
            return to_onnx(self.network, self.contract)
        strip(self.graph)
        check_versions(self.graph)
        return self.graph


class Exporter:
    """Exports one origin to any number of formats; the network runs over the cases once.

    Args:
        origin: what is exported.
        cases: to prove it on, at least one, of the contract's kind.
        fast: try the rewrites for speed.
        tolerance: largest difference of an exact format; None takes what rounding explains.

    Raises:
        CaseError: a case cannot be read.
        ModelError: the network fails on one.
    """

    def __init__(
        self, origin: Origin, cases: Sequence[Any], fast: bool = True, tolerance: float | None = None
    ) -> None:
        self.origin, self.fast = origin, fast
        self.tolerance = origin.rounding() if tolerance is None else tolerance
        self.witness = Witness(origin.contract, origin.session, cases)
        self._plain: onnx.ModelProto | None = None
        self._fused: Optimised | None = None

    def write(self, format: str, path: Path) -> ExportReport:
        """Export, compare with the network, and keep the file only if it answers alike.

        Args:
            format: a name of ``formats.FORMATS``.
            path: of the file; replaced in one step.

        Raises:
            ModelError: it cannot be exported, or differs too much; whatever was at ``path`` is untouched.
            RunError: the folder cannot be written.
            UsageError: an unknown format, or TorchScript of what is no torch network.
        """
        form = self.origin.check_format(format)
        prepare_folder(path.parent)
        unproved = path.with_name(f".unproved.{path.name}")
        try:
            speed = self._write(form, unproved)
            session = open_session(unproved, _runtime(form), "cpu")
            parity = self.witness.compare(session)
            parity.check(Gate(error=self.tolerance) if form.exact else Gate(), f"{path} ({form.name})")
            unproved.replace(path)
        finally:
            with contextlib.suppress(OSError):
                unproved.unlink()
        return ExportReport(path, form.name, path.stat().st_size, _content(form, path), parity, speed)

    def _write(self, form: Format, path: Path) -> str:
        contract = self.origin.contract
        if form.name == "torchscript":
            from .formats.torchscript import write

            write(self.origin.network, contract, path)
            return ""
        from .onnx import save

        graph, speed = self._graph(form)
        save(form.convert(graph, self.witness.inputs[:CALIBRATION]), contract, path)
        return speed

    def _graph(self, form: Format) -> tuple[onnx.ModelProto, str]:
        if self._plain is None:
            self._plain = self.origin.to_onnx()
        if not (self.fast and form.fused):
            return self._plain, ""
        if self._fused is None:
            self._fused = optimise(self._plain, self.witness.inputs[:1])
        return self._fused.model, self._fused.why


def example_cases(contract: Contract, count: int = 2) -> list[Any]:
    """Cases to prove an export on where nobody gave any: phantoms if they fit, else smooth random numbers.

    Args:
        contract: of the model.
        count: how many.
    """
    from ..zoo.cases import case_from_arrays
    from ..zoo.contract import InputSpec
    from ..zoo.phantom import phantom_dataset

    spec, rng = contract.input, np.random.default_rng(0)
    if not isinstance(spec, InputSpec):
        return [_smooth(rng, (*spec.shape, 3)) for _ in range(count)]
    if set(spec.channels) <= _PHANTOM and min(spec.shape) >= 32:
        shape, spacing = spec.shape[::-1], spec.spacing_mm[::-1]
        return list(phantom_dataset(n=count, seed=1, shape=shape, spacing_mm=spacing).cases)
    size = (len(spec.channels), *spec.shape)
    return [
        case_from_arrays(_smooth(rng, size), spec.channels, spec.spacing_mm, id=f"random {i}")
        for i in range(count)
    ]


_PHANTOM = {"flair", "t1", "t1ce", "t2"}


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 numbers from 1 to 255 that vary slowly, so that a network sees edges and plains."""
    from scipy.ndimage import gaussian_filter

    values = gaussian_filter(rng.standard_normal(shape), 2.0)
    low, high = values.min(), values.max()
    return (1 + 254 * (values - low) / (high - low)).astype(np.uint8)


def _runtime(form: Format) -> str:
    return "torchscript" if form.name == "torchscript" else "onnxruntime"


def _content(form: Format, path: Path) -> str:
    from ..zoo import torchfile

    file = torchfile.inspect(path) if form.name == "torchscript" else onnxfile.inspect(path)
    return file.content_sha256


def default_path(folder: Path, contract: Contract, format: str) -> Path:
    """``folder/NAME`` with the format's suffix."""
    return folder / f"{contract.name}{FORMATS[format].suffix}"
