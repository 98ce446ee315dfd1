"""Weights in files: safetensors only, written whole or not at all, checked against the network they go into.

A pickle runs code when it is read, so none ever is; what ``torch.save`` wrote is recognised and refused.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..eval.files import reason
from ..zoo.errors import ModelError, RunError
from .safefile import refuse_pickle


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Write tensors and a few facts: after a crash the old file is there or the new one, never a part.

    Raises:
        RunError: the disk is full or the folder cannot be written; what was there is untouched.
    """
    part = path.with_suffix(".part")
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part, dict(facts or {}))
        part.chmod(0o644)  # safetensors makes it readable for its owner alone
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise RunError(
            f"{path}: cannot be written ({why}); what was there is untouched: make room and run the same "
            "command again"
        ) from error


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file, on the CPU, and its facts.

    Raises:
        ModelError: absent, a pickle, or not (all of) a safetensors file.
    """
    refuse_pickle(path)
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a whole safetensors file ({error})") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in ``path``: of a file of weights, or the averaged ones of a checkpoint."""
    tensors, _ = read(path)
    return below(tensors, "average.") or tensors


def put(tensors: Mapping[str, Tensor], network: nn.Module, where: str) -> None:
    """Load weights into the network they were made for.

    Args:
        tensors: by parameter name.
        network: takes them in place.
        where: names the weights in messages.

    Raises:
        ModelError: they are another network's; the first difference is named.

    Example:
        >>> put({"weight": nn.Linear(3, 2).weight}, nn.Linear(2, 3, bias=False), "w.safetensors")
        Traceback (most recent call last):
        voxzoo.zoo.errors.ModelError: w.safetensors: weights of another network: weight is (2, 3), expected \
(3, 2)
    """
    expected = network.state_dict()
    odd = sorted(set(tensors) ^ set(expected))
    if odd:
        side = "is not in the file" if odd[0] in expected else "is not in this network"
        raise ModelError(f"{where}: weights of another network: {odd[0]} {side}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            got, wanted = tuple(tensor.shape), tuple(expected[name].shape)
            raise ModelError(f"{where}: weights of another network: {name} is {got}, expected {wanted}")
    network.load_state_dict(dict(tensors))


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with ``prefix``, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
