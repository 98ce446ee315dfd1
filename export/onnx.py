"""torch -> ONNX: one self-contained file, opset 18, no traces of the machine that made it.

The exporter leaves source paths in the metadata of every node, so all metadata is dropped; the contract is
written last, because anything that rewrites the file afterwards would lose it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ..zoo.contract import Contract
from ..zoo.errors import ModelError
from ..zoo.onnxfile import write_contract

if TYPE_CHECKING:
    import onnx

OPSET = 18
MAX_IR = 10


def export_onnx(network: nn.Module, contract: Contract, path: Path) -> None:
    """Write ``network`` with ``contract`` inside.

    Args:
        network: (N, C, D, H, W) -> (N, K, D, H, W), as the contract says, activation included.
        contract: its ``content_sha256`` is filled in.
        path: of the ONNX file; replaced atomically.

    Raises:
        ModelError: the exporter produced another opset or IR version than asked for.
    """
    spec = contract.input
    example = torch.zeros(2, len(spec.channels), *spec.shape)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[spec.name],
            output_names=[contract.output.name],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
    model = program.model_proto
    _strip(model)
    _check_versions(model)
    part = path.with_suffix(".part")
    part.write_bytes(model.SerializeToString())
    write_contract(part, contract)
    part.replace(path)


def parity(network: nn.Module, path: Path, tensor: np.ndarray) -> float:
    """Largest absolute difference between torch and onnxruntime on one (C, D, H, W) float32 input."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {session.get_inputs()[0].name: tensor[None]})[0]
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(tensor[None])).numpy()
    return float(np.abs(got - expected).max())


def _strip(model: onnx.ModelProto) -> None:
    """Drop what the exporter says about itself and this machine."""
    del model.metadata_props[:]
    graph = model.graph
    for items in (graph.node, graph.value_info, graph.input, graph.output, graph.initializer):
        for item in items:
            del item.metadata_props[:]
            item.doc_string = ""
    del graph.metadata_props[:]


def _check_versions(model: onnx.ModelProto) -> None:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if versions.get("", 0) != OPSET or model.ir_version > MAX_IR:
        raise ModelError(
            f"the exporter wrote opset {versions} and IR {model.ir_version}; "
            f"expected opset {OPSET} and IR <= {MAX_IR}: install the torch version of constraints.txt"
        )
