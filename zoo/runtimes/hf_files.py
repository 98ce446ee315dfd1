"""Checkpoints in the layout of ``transformers``: found on the disk or the Hub, safetensors only, hashed.

Nothing of a checkpoint is run: no pickle, no code of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..download import hash_file
from ..errors import ModelError, ModelNotFoundError

WANTED = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors")
"""What is read of a checkpoint: configuration, tokenizer, weights."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
ADAPTER_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, and the adapter that goes on it.

    Attributes:
        name: for people: the folder's name or the Hub's, ``+`` the adapter's.
        folder: with ``config.json``, weights and processor.
        adapter: a PEFT folder, or None.
        content_hash: sha256 over names and hashes of all files that are read.
    """

    name: str
    folder: Path
    adapter: Path | None
    content_hash: str


def find_checkpoint(text: str, local_files_only: bool = False) -> Checkpoint:
    """Find ``PATH_OR_ID[@REVISION][+ADAPTER_DIR]``; only an id that is not in the Hub's cache is downloaded.

    Args:
        text: a folder, or an id of the Hugging Face Hub; after ``+`` the folder of a PEFT adapter.
        local_files_only: never use the network. ``HF_HUB_OFFLINE=1`` says the same.

    Raises:
        ModelNotFoundError: neither a folder nor an id that can be had.
        ModelError: no configuration, or weights that are pickles or not all there.
    """
    where, adapter = _split(text)
    local = Path(where).expanduser()
    folder = local if local.is_dir() else _from_hub(where, local_files_only)
    _check(folder, "config.json", "model")
    if adapter is not None:
        _check(adapter, "adapter_config.json", "adapter")
    name = (local.resolve().name if local.is_dir() else where) + (
        f"+{adapter.resolve().name}" if adapter else ""
    )
    return Checkpoint(name, folder, adapter, _hash([folder, *([adapter] if adapter else [])]))


def _split(text: str) -> tuple[str, Path | None]:
    """A folder whose own name holds a plus sign wins over an adapter."""
    where, plus, adapter = text.rpartition("+")
    if not plus or Path(text).expanduser().is_dir():
        return text, None
    folder = Path(adapter).expanduser()
    if not folder.is_dir():
        raise ModelNotFoundError(f"{adapter}: no such folder; after + comes the folder of a PEFT adapter")
    return where, folder


def _from_hub(text: str, local_files_only: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name, _, revision = text.partition("@")
    if text.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelNotFoundError(f"{text}: neither a folder nor an id of the Hugging Face Hub (OWNER/NAME)")

    def snapshot(local: bool) -> Path:
        folder = snapshot_download(
            name,
            revision=revision or None,
            allow_patterns=list(WANTED),
            ignore_patterns=["*/*"],
            local_files_only=local,
        )
        return Path(folder)

    try:
        try:
            return snapshot(local=True)
        except LocalEntryNotFoundError:
            if local_files_only:
                raise
            return snapshot(local=False)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        told = " ".join(str(error).split())[:300]
        raise ModelNotFoundError(
            f"{text}: not on this disk and not to be had from the Hub: {told}"
        ) from error


def _check(folder: Path, config: str, what: str) -> None:
    """Configuration and safetensors are there, every part of a split checkpoint among them."""
    if not (folder / config).is_file():
        raise ModelError(f"{folder}: has no {config}, so it is no {what} of transformers")
    found = {path.name for path in folder.glob("*.safetensors")}
    parts = _parts(folder / "model.safetensors.index.json")
    wanted = parts or ({ADAPTER_WEIGHTS} if what == "adapter" else found)
    if not wanted or not wanted <= found:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        lacking = ", ".join(sorted(wanted - found)[:3]) or "*.safetensors"
        hint = f"; {pickles[0]} is a pickle, which can run code: convert it to safetensors" if pickles else ""
        raise ModelError(f"{folder}: has no {lacking}{hint}")


def _parts(index: Path) -> set[str]:
    """Names of the files that a split checkpoint consists of; none if it is not split."""
    if not index.is_file():
        return set()
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {str(name) for name in places.values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index}: is no index of weights: {error}") from error


def _hash(folders: Iterable[Path]) -> str:
    """Over the files that are read, by name: the same for a copy elsewhere."""
    digest = hashlib.sha256()
    for number, folder in enumerate(folders):
        for path in sorted({path for pattern in WANTED for path in folder.glob(pattern)}):
            digest.update(f"{number} {path.name} {hash_file(path)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
