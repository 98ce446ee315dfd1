"""ONNX files as bytes: refuse what is none, hash the content, read the contract, write it.

The content hash is the sha256 of the file's bytes with every top-level ``metadata_props`` entry (field 14
of ModelProto) cut out, in file order: the contract can hold the hash of the file it stands in. Neither the
``onnx`` package nor a runtime is needed, and big files are streamed.
Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from . import wire
from .contract import Contract
from .errors import ContractError, IntegrityError, ModelError, ModelNotFoundError
from .modelfile import KEY, ModelFile

MAX_OPSET = 26
MAX_IR = 13
_IR, _GRAPH, _OPSET, _METADATA = 1, 7, 8, 14
_TOP = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_MAX_METADATA = 64 << 20
_CHUNK = 1 << 20

Source = str | os.PathLike[str] | bytes


@dataclass(frozen=True)
class OnnxFile(ModelFile[Contract]):
    """What the bytes of an ONNX file say; its content is the file without its top-level metadata.

    Attributes:
        ir_version: version of the file format.
        opset: version of the default operator set.
    """

    ir_version: int
    opset: int
    place: ClassVar[str] = "metadata_props"

    @property
    def form(self) -> str:
        """ "ONNX opset 18, IR 10"."""
        return f"ONNX opset {self.opset}, IR {self.ir_version}"


def inspect(source: Source) -> OnnxFile:
    """Read everything that voxzoo wants to know of an ONNX file, in one pass over its bytes.

    Args:
        source: a path, or the bytes themselves.

    Raises:
        ModelNotFoundError: no such file.
        ModelError: not an ONNX file, one that needs others beside it, or one newer than voxzoo knows.
        IntegrityError: the file is cut short.
        ContractError: its metadata cannot be read.
    """
    with _opened(source) as (stream, name, size):
        _refuse_strangers(stream, name, size)
        fields = _top_fields(stream, name, size)
        ir_version, opset = _versions(stream, name, fields)
        _refuse_external(stream, name, fields)
        metadata = _metadata(stream, name, fields)
        whole, content = _hashes(stream, fields)
    return OnnxFile(name, size, whole, content, metadata, ir_version, opset)


def content_sha256(source: Source) -> str:
    """The sha256 of an ONNX file's bytes without its top-level metadata.

    Raises:
        ModelError, IntegrityError, ContractError: as ``inspect``.
    """
    return inspect(source).content_sha256


def read_metadata(source: Source) -> dict[str, str]:
    """The top-level metadata of an ONNX file.

    Raises:
        ModelError, IntegrityError, ContractError: as ``inspect``.
    """
    return inspect(source).metadata


def read_contract(source: Source) -> Contract:
    """The contract in an ONNX file, checked against its bytes.

    Raises:
        ModelError, ContractError, IntegrityError: as ``inspect`` and ``OnnxFile.contract``.
    """
    return inspect(source).contract()


def write_contract(path: str | os.PathLike[str], contract: Contract) -> Contract:
    """Put ``contract`` into the ONNX file at ``path``, in the place of one that is there; atomic.

    Everything else in the file stays as it is, other metadata too. Do this last: optimisers and
    converters strip metadata, and any other change invalidates the hash.

    Args:
        path: the ONNX file, rewritten in place.
        contract: its ``content_sha256`` is filled in from the file's bytes.

    Returns:
        The contract that was written, with its hash.

    Raises:
        ModelError, IntegrityError: the file is no usable ONNX file, or cannot be written.
    """
    signed = contract.with_hash(inspect(path).content_sha256)
    entry = wire.encode_bytes(1, KEY.encode()) + wire.encode_bytes(2, signed.to_json().encode())
    with _opened(path) as (stream, name, size):
        fields = _top_fields(stream, name, size)
        kept = [f for f in fields if f.number != _METADATA or _entry(stream, name, f)[0] != KEY]
        _rewrite(Path(path), stream, kept, wire.encode_bytes(_METADATA, entry))
    return signed


@contextmanager
def _opened(source: Source) -> Iterator[tuple[BinaryIO, str, int]]:
    """The stream, its name for messages, its size."""
    if isinstance(source, bytes):
        yield io.BytesIO(source), "the model", len(source)
        return
    name = os.fspath(source)
    try:
        with open(name, "rb") as stream:
            yield stream, name, os.fstat(stream.fileno()).st_size
    except FileNotFoundError as error:
        raise ModelNotFoundError(f"{name}: no such file") from error
    except OSError as error:
        raise ModelError(f"{name}: cannot be read: {error.strerror or error}") from error


def _refuse_strangers(stream: BinaryIO, name: str, size: int) -> None:
    """Name the things that people hand in by mistake, before the walker calls them noise."""
    head = stream.read(512)
    text = head.lstrip().lower()
    if size == 0:
        raise ModelError(f"{name}: not an ONNX file: it is empty (0 bytes)")
    if text.startswith(b"version https://git-lfs"):
        raise ModelError(
            f"{name}: not an ONNX file but a git-LFS pointer: fetch the real one with `git lfs pull`"
        )
    if text.startswith(b"<"):
        raise ModelError(f"{name}: not an ONNX file but a web page or XML: the download went wrong")
    if head.startswith(b"PK") or (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"):
        raise ModelError(
            f"{name}: not an ONNX file but a pickle or a zip (as torch.save writes): refused, because "
            "loading it runs code; export the model to ONNX"
        )


def _top_fields(stream: BinaryIO, name: str, size: int) -> list[wire.Field]:
    """Fields of ModelProto, or a refusal: a message that starts like ONNX and then stops is a cut file."""
    fields: list[wire.Field] = []
    try:
        for field in wire.walk(stream, 0, size):
            if _TOP.get(field.number, field.wire) != field.wire or field.number > 99:
                raise wire.WireError(f"field {field.number} with wire type {field.wire}")
            fields.append(field)
    except wire.CutError as error:
        if _starts_like_onnx(stream, size):
            raise IntegrityError(f"{name}: cut short: {error}; fetch it again") from error
        raise ModelError(f"{name}: not an ONNX file: {error}") from error
    except wire.WireError as error:
        raise ModelError(f"{name}: not an ONNX file: {error}") from error
    return fields


def _starts_like_onnx(stream: BinaryIO, size: int) -> bool:
    """Whether the first field is one that ONNX writers put first: a version below 100, or a producer."""
    try:
        first = next(wire.walk(stream, 0, size), None)
    except wire.WireError:
        stream.seek(0)
        return stream.read(1) == bytes([_GRAPH << 3 | wire.LENGTH])
    return first is not None and ((first.number == _IR and first.value < 100) or 2 <= first.number <= 8)


def _versions(stream: BinaryIO, name: str, fields: list[wire.Field]) -> tuple[int, int]:
    """(IR version, default opset), refused where voxzoo does not know them."""
    numbers = {f.number for f in fields}
    absent = [word for number, word in ((_IR, "ir_version"), (_GRAPH, "graph"), (_OPSET, "opset_import"))
              if number not in numbers]  # fmt: skip
    if _GRAPH not in numbers or _IR not in numbers:
        raise ModelError(f"{name}: not an ONNX file, or one cut short: it has no {' and no '.join(absent)}")
    if absent:
        raise IntegrityError(f"{name}: cut short, or not a whole ONNX model: it has no opset_import")
    ir_version = max(f.value for f in fields if f.number == _IR)
    opset = max((_opset(stream, name, f) for f in fields if f.number == _OPSET), default=0)
    for what, got, known in (("opset", opset, MAX_OPSET), ("IR version", ir_version, MAX_IR)):
        if got > known:
            raise ModelError(
                f"{name}: {what} {got} is newer than the {what} {known} that this voxzoo knows: "
                "export the model with opset 18, or upgrade voxzoo and its runtime"
            )
    return ir_version, opset


def _opset(stream: BinaryIO, name: str, field: wire.Field) -> int:
    """The version of the default domain in an OperatorSetIdProto (1 domain, 2 version), 0 for others."""
    parts = {f.number: f for f in _sub_fields(stream, name, field)}
    domain = wire.read_value(stream, parts[1]) if 1 in parts else b""
    return parts[2].value if domain in (b"", b"ai.onnx") and 2 in parts else 0


def _sub_fields(stream: BinaryIO, name: str, field: wire.Field) -> list[wire.Field]:
    try:
        return list(wire.walk(stream, field.value_start, field.end))
    except wire.WireError as error:
        raise ModelError(f"{name}: not an ONNX file: {error}") from error


def _refuse_external(stream: BinaryIO, name: str, fields: list[wire.Field]) -> None:
    """A model whose weights lie in other files is not self-describing, and no hash covers it.

    GraphProto.initializer is 5, TensorProto.external_data 13, TensorProto.data_location 14.
    """
    for graph in (f for f in fields if f.number == _GRAPH):
        for tensor in (
            f for f in _sub_fields(stream, name, graph) if f.number == 5 and f.wire == wire.LENGTH
        ):
            if any(
                f.number in (13, 14) and (f.wire, f.value) != (0, 0)
                for f in _sub_fields(stream, name, tensor)
            ):
                raise ModelError(f"{name}: keeps weights in other files (external data): save it as one file")


def _metadata(stream: BinaryIO, name: str, fields: list[wire.Field]) -> dict[str, str]:
    pairs = [_entry(stream, name, f) for f in fields if f.number == _METADATA]
    if sum(key == KEY for key, _ in pairs) > 1:
        raise ContractError(f"{name}: holds more than one {KEY!r} entry: write the contract again")
    return dict(pairs)


def _entry(stream: BinaryIO, name: str, field: wire.Field) -> tuple[str, str]:
    """Key (1) and value (2) of a StringStringEntryProto."""
    if field.end - field.start > _MAX_METADATA:
        raise ContractError(f"{name}: a metadata entry of {field.end - field.start} bytes is no contract")
    parts = {f.number: f for f in _sub_fields(stream, name, field) if f.wire == wire.LENGTH}
    key, value = (wire.read_value(stream, parts[n]) if n in parts else b"" for n in (1, 2))
    try:
        return key.decode(), value.decode()
    except UnicodeDecodeError as error:
        raise ContractError(f"{name}: metadata is not UTF-8 text: {error}") from error


def _hashes(stream: BinaryIO, fields: list[wire.Field]) -> tuple[str, str]:
    """sha256 of the whole stream and of it without field 14."""
    whole, content = hashlib.sha256(), hashlib.sha256()
    for field in fields:
        for chunk in _chunks(stream, field.start, field.end):
            whole.update(chunk)
            if field.number != _METADATA:
                content.update(chunk)
    return whole.hexdigest(), content.hexdigest()


def _chunks(stream: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    stream.seek(start)
    while start < end and (chunk := stream.read(min(_CHUNK, end - start))):
        start += len(chunk)
        yield chunk


def _rewrite(path: Path, stream: BinaryIO, kept: list[wire.Field], tail: bytes) -> None:
    """The kept fields and the tail, through a temporary file beside ``path``."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ModelError(f"{path.parent}: cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as out:
            for field in kept:
                out.writelines(_chunks(stream, field.start, field.end))
            out.write(tail)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, path.stat().st_mode & 0o777)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
