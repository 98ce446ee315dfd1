"""A torch network as a session, so that it is compared with its own export through the same code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..zoo.errors import ContractError, ModelError
from ..zoo.runtimes.base import Port, RuntimeInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..zoo.contract import Contract


class NetworkSession:
    """A ``torch.nn.Module`` that answers like an opened file.

    Args:
        network: put into eval mode.
        contract: gives names and shapes.
    """

    def __init__(self, network: nn.Module, contract: Contract) -> None:
        self._network = network.eval()
        self.info = RuntimeInfo("torch", torch.__version__, "cpu", "fp32", torch.get_num_threads())
        spec = contract.input
        self.inputs: tuple[Port, ...] = (Port(spec.name, (None, len(spec.channels), *spec.shape), "float32"),)
        self.outputs: tuple[Port, ...] = (
            Port(contract.output.name, (None, *output_shape(contract)), "float32"),
        )

    def run(self, tensor: NDArray[np.float32], output: str | None = None) -> NDArray[np.float32]:
        """The network's answer to ``tensor`` (N, C, ...).

        Raises:
            ModelError: the network fails on it.
        """
        try:
            with torch.inference_mode():
                return self._network(torch.from_numpy(tensor)).numpy()
        except RuntimeError as error:
            raise ModelError(f"torch cannot run the network: {_first_line(error)}") from error


def output_shape(contract: Contract) -> tuple[int, ...]:
    """The shape that the contract says of one sample's output: (K, D, H, W), or (K,) of classes."""
    grid = () if contract.output.kind == "classes" else contract.input.shape
    return (len(contract.output.channels), *grid)


def check_shapes(network: nn.Module, contract: Contract) -> None:
    """Refuse a contract that contradicts the network; no arithmetic is done.

    Raises:
        ContractError: the network does not take the contract's input, or gives another shape.

    Example:
        >>> from voxzoo.export.recipe import load_recipe
        >>> from voxzoo.zoo.contract import Contract, OutputSpec
        >>> recipe = load_recipe("cnn3d-seg")
        >>> contract = Contract("mine", "1", "segment", recipe.input, OutputSpec("p", "regions", ("wt",)),
        ...                     {1: "whole_tumour"}, recipe.licence)
        >>> check_shapes(nn.Conv3d(4, 2, 1), contract)
        Traceback (most recent call last):
        voxzoo.zoo.errors.ContractError: mine: the network gives shape (2, 2, 95, 128, 128) for (2, 4, 95, \
128, 128); the contract's output (regions: wt) has shape (2, 1, 95, 128, 128)
    """
    spec = contract.input
    shape = (2, len(spec.channels), *spec.shape)
    got = answer_shape(network, shape, contract.name)
    wanted = (2, *output_shape(contract))
    if got != wanted:
        names = ", ".join(contract.output.channels)
        raise ContractError(
            f"{contract.name}: the network gives shape {got} for {shape}; the contract's output "
            f"({contract.output.kind}: {names}) has shape {wanted}"
        )


def answer_shape(network: nn.Module, shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """What the network would give, traced on tensors without values."""
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            answer = network.eval()(torch.empty(shape))
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        raise ContractError(
            f"{name}: the network does not take the contract's input {shape}: {_first_line(error)}"
        ) from error
    if not isinstance(answer, torch.Tensor):
        raise ContractError(
            f"{name}: the network gives a {type(answer).__name__}; one tensor was expected: wrap it in a "
            "module that returns the tensor"
        )
    return tuple(answer.shape)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
