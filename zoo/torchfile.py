"""TorchScript files as archives: hash the content, read the contract, decide whether one may be run.

A TorchScript file is a zip of uncompressed members, code among them. The contract is the member
``extra/voxzoo.contract`` (torch's ``_extra_files``); the content hash is the sha256 over all other members in
the order of their names, each as its name, its size and its bytes. Nothing here runs or unpickles anything,
and torch is not needed.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from .contract import Contract
from .errors import ContractError, IntegrityError, ModelError, ModelNotFoundError, UsageError
from .modelfile import KEY, ModelFile

EXTRA = f"extra/{KEY}"


@dataclass(frozen=True)
class TorchFile(ModelFile[Contract]):
    """What a TorchScript file says, read as an archive."""

    place: ClassVar[str] = "its extra files"

    @property
    def form(self) -> str:
        """ "TorchScript"."""
        return "TorchScript"


def is_torchscript(path: str | os.PathLike[str]) -> bool:
    """Whether a file is TorchScript: a zip with code, which a checkpoint of ``torch.save`` has not.

    Example:
        >>> is_torchscript(__file__)
        False
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return any("/code/" in name for name in names) and any(n.endswith("/constants.pkl") for n in names)


def inspect(path: str | os.PathLike[str]) -> TorchFile:
    """Read hashes and contract of a TorchScript file.

    Raises:
        ModelNotFoundError: no such file.
        ModelError: it cannot be read, or is no TorchScript.
        IntegrityError: the archive is damaged.
    """
    name = os.fspath(path)
    if not Path(path).is_file():
        raise ModelNotFoundError(f"{name}: no such file")
    if not is_torchscript(path):
        raise ModelError(f"{name}: not a TorchScript file")
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, name)
            content = content_sha256((m.filename, archive.read(m)) for m in members)
            inside = [archive.read(m).decode() for m in members if _is_contract(m.filename)]
        metadata = {KEY: inside[0]} if inside else {}
        return TorchFile(name, os.stat(path).st_size, _sha256(path), content, metadata)
    except zipfile.BadZipFile as error:
        raise IntegrityError(f"{name}: a damaged archive: {error}; fetch it again") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"{name}: the contract is not UTF-8 text: {error}") from error
    except OSError as error:
        raise ModelError(f"{name}: cannot be read: {error.strerror or error}") from error


def content_sha256(members: Iterable[tuple[str, bytes]]) -> str:
    """The hash of an archive's members (name, bytes), the contract left out.

    Example:
        >>> content_sha256([("a/b", b"1"), ("a/c", b"2")]) == content_sha256([("a/c", b"2"), ("a/b", b"1")])
        True
    """
    digest = hashlib.sha256()
    for name, content in sorted(members):
        if not _is_contract(name):
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def check_trust(file: ModelFile[Any], runtime: str, known: bool, trust: bool) -> None:
    """Refuse code that nobody vouched for.

    Args:
        file: the model's.
        runtime: as it was asked for.
        known: whether the file came from the zoo, its hash in the registry.
        trust: whether the user says to run it.

    Raises:
        UsageError: TorchScript that was not asked for by name, or is neither known nor trusted.
    """
    if not isinstance(file, TorchFile):
        return
    if runtime != "torchscript":
        raise UsageError(
            f"{file.name}: TorchScript runs code of its own when it is loaded: ask for it by name with "
            "--runtime torchscript, or export the model to ONNX"
        )
    if not (known or trust):
        raise UsageError(
            f"{file.name}: TorchScript runs code of its own, and this file is not in the registry: add "
            f"--trust (trust=True) if you trust where it comes from; its sha256 is {file.sha256}"
        )


def _members(archive: zipfile.ZipFile, name: str) -> list[zipfile.ZipInfo]:
    members = archive.infolist()
    if len({m.filename for m in members}) != len(members):
        raise IntegrityError(f"{name}: the archive holds two members of one name")
    packed = [m.filename for m in members if m.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise ModelError(f"{name}: {packed[0]} is compressed, which torch never does: not a TorchScript file")
    return members


def _is_contract(name: str) -> bool:
    return name.partition("/")[2] == EXTRA


def _sha256(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
