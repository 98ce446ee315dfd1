"""Whether a contract speaks of the inputs and outputs that the network has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import ContractError

if TYPE_CHECKING:
    from .contract import Contract
    from .runtimes.base import Port, Session


def check_ports(contract: Contract, session: Session) -> None:
    """Refuse a contract that speaks of other inputs and outputs than the network has.

    Raises:
        ContractError: says what the contract and what the network say.
    """
    spec, output = contract.input, contract.output
    if len(session.inputs) != 1:
        names = ", ".join(p.name for p in session.inputs)
        raise ContractError(
            f"{contract.name}: the network has {len(session.inputs)} inputs ({names}), expected one"
        )
    source = session.inputs[0]
    _check_port(contract.name, "input", source, spec.name, (1, len(spec.channels), *spec.shape))
    if source.dtype != "float32":
        raise ContractError(f"{contract.name}: the network takes {source.dtype}, voxzoo feeds float32")
    outputs = {p.name: p for p in session.outputs}
    if output.name not in outputs:
        raise ContractError(
            f"{contract.name}: the contract says output {output.name!r}, the network has {', '.join(outputs)}"
        )
    grid = () if output.kind == "classes" else spec.shape
    shape = (1, len(output.channels), *grid)
    _check_port(contract.name, "output", outputs[output.name], output.name, shape)


def _check_port(model: str, what: str, port: Port, name: str, shape: tuple[int, ...]) -> None:
    fits = len(port.shape) == len(shape) and all(
        n is None or n == m for n, m in zip(port.shape, shape, strict=True)
    )
    if port.name != name or not fits:
        free = tuple("?" if n is None else n for n in port.shape)
        raise ContractError(
            f"{model}: the contract says {what} {name!r} of shape {shape}, the network has {port.name!r} of "
            f"shape ({', '.join(map(str, free))})"
        )
