"""What the zoo lists of each model: ``weights/registry.json``, read, checked, and added to."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import checks, gguffile, onnxfile
from .errors import ContractError
from .ggufpair import open_pair
from .modelfile import ModelFile

SCHEMA = "voxzoo.registry/1"
WEIGHTS = Path(__file__).parent / "weights"
SUFFIX = ".onnx"
GGUF = ".gguf"


@dataclass(frozen=True)
class Part:
    """A second file of a model: the mmproj beside a language model's GGUF.

    Attributes:
        file: its name.
        bytes: its size.
        sha256: of the whole file.
        urls: where it can be fetched; empty if it is bundled.
    """

    file: str
    bytes: int
    sha256: str
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
        name: how it is asked for.
        version: of the weights.
        file: its file's name.
        bytes: the file's size.
        sha256: of the whole file.
        content_sha256: of the file without its metadata; of a GGUF's tensor section.
        licence: the licence line of its contract.
        description: a sentence.
        urls: where it can be fetched; empty if it is bundled.
        task: "segment", "classify" or "prompt".
        mmproj: the vision part of a language model.
    """

    name: str
    version: str
    file: str
    bytes: int
    sha256: str
    content_sha256: str
    licence: str
    description: str
    urls: tuple[str, ...] = ()
    task: str = "segment"
    mmproj: Part | None = None

    @property
    def total_bytes(self) -> int:
        """Of all its files."""
        return self.bytes + (self.mmproj.bytes if self.mmproj else 0)


def entries(folder: Path = WEIGHTS) -> dict[str, Entry]:
    """The zoo: name -> entry, in the order of the registry.

    Raises:
        ContractError: the registry is damaged.
    """
    path = folder / "registry.json"
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        found = [_entry(item) for item in plain["models"]]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContractError(f"{path}: the registry is damaged ({error}): install voxzoo again") from error
    for entry in found:
        hashes = [entry.sha256, entry.content_sha256, *([entry.mmproj.sha256] if entry.mmproj else [])]
        if not all(map(checks.is_sha256, hashes)):
            raise ContractError(f"{path}: {entry.name} has no valid hashes: install voxzoo again")
    return {entry.name: entry for entry in found}


def _entry(item: dict[str, Any]) -> Entry:
    """One model as it stands in the registry."""
    second = item.get("mmproj")
    part = Part(**{**second, "urls": tuple(second["urls"])}) if second else None
    return Entry(**{**item, "urls": tuple(item["urls"]), "mmproj": part})


def register(
    source: str | os.PathLike[str],
    description: str,
    urls: Sequence[str] = (),
    folder: Path = WEIGHTS,
    mmproj_urls: Sequence[str] = (),
) -> Entry:
    """Put a model file with a contract into the zoo: its bytes into ``folder``, its facts into the registry.

    For those who publish models; it needs a writable checkout. An entry of the same name is replaced.

    Args:
        source: an ONNX file with a valid contract, or a language model's GGUF with one, beside its mmproj.
        description: a sentence.
        urls: where else it can be fetched.
        folder: that holds ``registry.json``.
        mmproj_urls: where else the mmproj can be fetched.
    """
    source = Path(source)
    file, second = _published(source, mmproj_urls)
    contract = file.contract()
    entry = Entry(
        name=contract.name,
        version=contract.version,
        file=contract.name + (GGUF if second else SUFFIX),
        bytes=file.size,
        sha256=file.sha256,
        content_sha256=file.content_sha256,
        licence=contract.licence.line,
        description=description,
        urls=tuple(urls),
        task=contract.task,
        mmproj=second,
    )
    copies = [(source, folder / entry.file)]
    if second is not None:
        copies.append((source.parent / second.file, folder / second.file))
    for given, target in copies:
        if target.resolve() != given.resolve():
            _write(target, given.read_bytes())
    models = [_plain(e) for e in {**entries(folder), entry.name: entry}.values()]
    plain = {"schema": SCHEMA, "models": models}
    _write(folder / "registry.json", (json.dumps(plain, indent=1, ensure_ascii=False) + "\n").encode())
    return entry


def _published(source: Path, mmproj_urls: Sequence[str]) -> tuple[ModelFile[Any], Part | None]:
    """A model file to be registered, and its second file."""
    if not gguffile.is_gguf(source):
        return onnxfile.inspect(source), None
    pair = open_pair(source)
    vision = pair.mmproj
    if vision is None:  # open_pair has refused it
        raise ContractError(f"{source}: names no mmproj")
    return pair.text, Part(Path(vision.name).name, vision.size, vision.sha256, tuple(mmproj_urls))


def _plain(entry: Entry) -> dict[str, Any]:
    return {key: value for key, value in asdict(entry).items() if value is not None}


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)
