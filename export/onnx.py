"""torch -> ONNX: one self-contained file, opset 18, no traces of the machine that made it.

The exporter leaves source paths in the metadata of every node, so all metadata is dropped; the contract is
written last, because anything that rewrites the file afterwards would lose it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..eval.files import reason
from ..zoo.contract import Contract
from ..zoo.errors import ModelError, RunError
from ..zoo.folds import fold_name
from ..zoo.onnxfile import write_contract
from .ensemble import MeanOfSegmenters

if TYPE_CHECKING:
    import onnx

OPSET = 18
MAX_IR = 10


def export_onnx(network: nn.Module, contract: Contract, path: Path) -> None:
    """Write ``network`` with ``contract`` inside.

    Args:
        network: (N, C, D, H, W) -> (N, K, D, H, W), or as the contract says; activation included.
        contract: its ``content_sha256`` is filled in.
        path: of the ONNX file; replaced atomically.

    Raises:
        ModelError: the network cannot be exported, or comes out in another opset or IR version.
        RunError: the file cannot be written.
    """
    save(to_onnx(network, contract), contract, path)


def to_onnx(network: nn.Module, contract: Contract) -> onnx.ModelProto:
    """The network as an ONNX graph with a free batch size and the contract's names.

    Args:
        network: as ``export_onnx`` takes it; put into eval mode. Of a ``MeanOfSegmenters`` the answer of each
            fold becomes an output too, see ``zoo.folds``.
        contract: gives the input's shape and both names.

    Raises:
        ModelError: as ``export_onnx``.
    """
    spec, outputs = contract.input, [contract.output.name]
    if isinstance(network, MeanOfSegmenters):
        outputs += [fold_name(number) for number in range(len(network.networks))]
        network = network.with_folds()
    example = torch.zeros(2, len(spec.channels), *spec.shape)
    with _quiet(), sdpa_kernel(SDPBackend.MATH):  # fused attention has no ONNX operator
        try:
            program = torch.onnx.export(
                network.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[spec.name],
                output_names=outputs,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                verbose=False,
            )
        except RuntimeError as error:
            raise ModelError(f"{contract.name}: torch cannot export it: {_cause(error)}") from error
    model = program.model_proto
    strip(model)
    check_versions(model)
    return model


def save(model: onnx.ModelProto, contract: Contract, path: Path) -> None:
    """Write a graph and then the contract; ``path`` is replaced in one step.

    Raises:
        RunError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(model.SerializeToString())
        write_contract(part, contract)
        part.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({reason(error)}); give another --out") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def strip(model: onnx.ModelProto) -> None:
    """Drop what the exporter says about itself and this machine."""
    del model.metadata_props[:]
    graph = model.graph
    for items in (graph.node, graph.value_info, graph.input, graph.output, graph.initializer):
        for item in items:
            del item.metadata_props[:]
            item.doc_string = ""
    del graph.metadata_props[:]


def check_versions(model: onnx.ModelProto) -> None:
    """Refuse a graph that older runtimes could not read.

    Raises:
        ModelError: another opset than ``OPSET``, or an IR version above ``MAX_IR``.
    """
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if versions.get("", 0) != OPSET or model.ir_version > MAX_IR:
        raise ModelError(
            f"the exporter wrote opset {versions} and IR {model.ir_version}; "
            f"expected opset {OPSET} and IR <= {MAX_IR}: install the torch version of constraints.txt"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's chatter."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def _cause(error: BaseException) -> str:
    """The first thing that went wrong, in one line: the exporter wraps it several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
