"""torch -> TorchScript: traced, frozen, without the paths of this machine, the contract inside.

torch keeps debugging tables with the paths of all source files beside the code; they are left out of the
archive, which torch opens as well without them.
"""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ...eval.files import atomic_write
from ...zoo.contract import Contract
from ...zoo.errors import ModelError
from ...zoo.torchfile import EXTRA, content_sha256

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(network: nn.Module, contract: Contract, path: Path) -> None:
    """Write the network as TorchScript with its contract in ``_extra_files``.

    Args:
        network: traced in eval mode on the contract's input shape: what depends on values is lost.
        contract: its ``content_sha256`` is filled in.
        path: of the file; replaced in one step.

    Raises:
        ModelError: torch cannot trace the network.
        RunError: the file cannot be written.
    """
    members = _members(_traced(network, contract))
    signed = contract.with_hash(content_sha256(members))
    root = members[0][0].partition("/")[0]
    atomic_write(path, _archive([*members, (f"{root}/{EXTRA}", signed.to_json().encode())]))


def _traced(network: nn.Module, contract: Contract) -> bytes:
    spec = contract.input
    example = torch.zeros(1, len(spec.channels), *spec.shape)
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch calls TorchScript deprecated
            traced = torch.jit.trace(network.eval(), example, check_trace=False)
            torch.jit.save(torch.jit.freeze(traced.eval()), buffer)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"{contract.name}: torch cannot trace it: {first[:300]}") from error
    return buffer.getvalue()


def _members(archive: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        names = [name for name in source.namelist() if not name.endswith(".debug_pkl")]
        return [(name, source.read(name)) for name in names]


def _archive(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A zip of uncompressed members, each starting at a multiple of 64 bytes as torch wants its tensors."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as out:
        for name, content in members:
            entry = zipfile.ZipInfo(name, _EPOCH)
            head = buffer.tell() + 30 + len(os.fsencode(name)) + 4
            fill = -head % 64
            entry.extra = b"FB" + fill.to_bytes(2, "little") + b"Z" * fill
            out.writestr(entry, content)
    return buffer.getvalue()
