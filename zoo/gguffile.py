"""GGUF files as model files: hash the tensor section, read the contract, write it.

The contract is the key-value ``voxzoo.contract`` of a language model's TEXT file. Its content hash is the
sha256 of the tensor section, from the first tensor's place to the end of the file: key-values (the contract,
where the file came from) can be written without changing it. The mmproj's file hash stands in the contract.
Neither the ``gguf`` package nor a runtime is needed, and big files are streamed.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from .atomic import whole_file
from .errors import ContractError, ModelError, UsageError
from .ggufcursor import MAGIC, STRING
from .ggufheader import GgufHeader, is_gguf, read_gguf_header
from .modelfile import KEY, ModelFile
from .prompt_contract import PromptContract

__all__ = [
    "GgufFile",
    "content_sha256",
    "inspect",
    "is_gguf",
    "read_gguf_header",
    "with_contract",
    "with_texts",
]

MMPROJ = "clip"
"""``general.architecture`` of vision parts."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class GgufFile(ModelFile[PromptContract]):
    """What a GGUF file says.

    Attributes:
        header: key-values and tensors.
        described_sha256: over all that stands before the tensors, the contract left out: sizes, vocabulary
            and template change answers as weights do.
    """

    header: GgufHeader
    described_sha256: str
    place: ClassVar[str] = "the header"
    lost: ClassVar[str] = "its questions, slices and mmproj are unknown"
    read: ClassVar[Callable[[str], PromptContract]] = PromptContract.from_json

    @property
    def form(self) -> str:
        """ "GGUF 3, llama, 21 tensors, mostly Q8_0"."""
        header = self.header
        kind = "mmproj" if self.is_mmproj else header.architecture or "no architecture"
        return f"GGUF {header.version}, {kind}, {len(header.tensors)} tensors, mostly {header.main_type}"

    @property
    def is_mmproj(self) -> bool:
        """Whether it is the vision part of a model, not the language model."""
        return self.header.architecture == MMPROJ


def inspect(path: str | os.PathLike[str]) -> GgufFile:
    """Read everything that voxzoo wants to know of a GGUF file, in one pass over its bytes.

    Args:
        path: the file.

    Raises:
        ModelNotFoundError: no such file.
        ModelError: it is no GGUF, or one that says what cannot be.
        IntegrityError: it is cut short.
        ContractError: what stands under the contract's key is no text.
    """
    header = read_gguf_header(path)
    try:
        with open(path, "rb") as stream:
            whole, content = _hashes(stream, header)
            described = _described(stream, header)
    except OSError as error:
        raise ModelError(f"{header.name}: cannot be read: {error.strerror or error}") from error
    return GgufFile(header.name, header.size, whole, content, _metadata(header), header, described)


def content_sha256(path: str | os.PathLike[str]) -> str:
    """The sha256 of a GGUF file's tensor section.

    Raises:
        ModelError, IntegrityError: as ``inspect``.
    """
    return inspect(path).content_sha256


def with_contract(
    source: str | os.PathLike[str], contract: PromptContract, target: str | os.PathLike[str]
) -> PromptContract:
    """Copy the text model ``source`` to ``target`` with ``contract`` inside; atomic, streamed.

    All other key-values, the table and the bytes of the tensors stay as they are. A contract that is there is
    replaced.

    Args:
        source: a language model's GGUF.
        contract: its ``content_sha256`` is filled in from the file.
        target: may be ``source``.

    Returns:
        The contract that was written, with its hash.

    Raises:
        UsageError: ``source`` is an mmproj: contracts stand in the text model.
        ModelError, IntegrityError: it is no usable GGUF, or ``target`` cannot be written; what was there is
            untouched then.
    """
    file = inspect(source)
    if file.is_mmproj:
        raise UsageError(f"{file.name}: is an mmproj; the contract stands in the text model's GGUF")
    signed = contract.with_hash(file.content_sha256)
    with_texts(source, {KEY: signed.to_json()}, target)
    return signed


def with_texts(
    source: str | os.PathLike[str], texts: Mapping[str, str | None], target: str | os.PathLike[str]
) -> None:
    """Copy a GGUF file with some key-values that are strings put in, replaced or (None) left out; atomic.

    Args:
        source: a GGUF file.
        texts: key -> text. New ones come last, in this order.
        target: may be ``source``.

    Raises:
        ModelError, IntegrityError: as ``with_contract``.
    """
    header = read_gguf_header(source)
    kept = [entry for key, entry in header.metadata.items() if key not in texts]
    new = b"".join(_text_entry(key, text) for key, text in texts.items() if text is not None)
    count = len(kept) + sum(text is not None for text in texts.values())
    target = Path(target)
    try:
        with open(source, "rb") as stream, whole_file(target, os.stat(source).st_mode & 0o777) as out:
            out.write(MAGIC + struct.pack("<IQQ", header.version, len(header.tensors), count))
            for entry in kept:
                out.writelines(chunks(stream, entry.start, entry.end))
            out.write(new)
            out.writelines(chunks(stream, header.table_start, header.table_end))
            out.write(b"\0" * (-out.tell() % header.alignment))
            out.writelines(chunks(stream, header.data_start, header.size))
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror or error}") from error


def chunks(stream: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a part of a file, a megabyte at a time."""
    stream.seek(start)
    while start < end and (chunk := stream.read(min(_CHUNK, end - start))):
        start += len(chunk)
        yield chunk


def _text_entry(key: str, text: str) -> bytes:
    name, value = key.encode(), text.encode()
    head = struct.pack("<Q", len(name)) + name
    return head + struct.pack("<IQ", STRING, len(value)) + value


def _hashes(stream: BinaryIO, header: GgufHeader) -> tuple[str, str]:
    """sha256 of the whole file and of its tensor section."""
    whole, content = hashlib.sha256(), hashlib.sha256()
    for chunk in chunks(stream, 0, min(header.data_start, header.size)):
        whole.update(chunk)
    for chunk in chunks(stream, header.data_start, header.size):
        whole.update(chunk)
        content.update(chunk)
    return whole.hexdigest(), content.hexdigest()


def _described(stream: BinaryIO, header: GgufHeader) -> str:
    digest = hashlib.sha256()
    for key, entry in header.metadata.items():
        if key != KEY:
            for chunk in chunks(stream, entry.start, entry.end):
                digest.update(chunk)
    for chunk in chunks(stream, header.table_start, header.table_end):
        digest.update(chunk)
    return digest.hexdigest()


def _metadata(header: GgufHeader) -> dict[str, str]:
    entry = header.metadata.get(KEY)
    if entry is None:
        return {}
    if not isinstance(entry.value, str):
        raise ContractError(f"{header.name}: what stands under {KEY!r} is no text")
    return {KEY: entry.value}
