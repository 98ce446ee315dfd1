"""A Hugging Face checkpoint folder: its JSON files and its tensors, read without torch or transformers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...eval.files import reason
from ...zoo.errors import IntegrityError, ModelError, ModelNotFoundError
from ..safefile import Array, Entry, SafeFile

_ONE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("pytorch_model*.bin", "pytorch_model*.bin.index.json", "*.pth", "*.pt", "consolidated*.pth")
_MAX_JSON = 256 << 20


class Checkpoint:
    """A folder as ``save_pretrained`` writes it; tensors are read when they are asked for.

    Args:
        folder: with config.json and safetensors files.

    Attributes:
        folder: as given.
        config: config.json.

    Raises:
        ModelNotFoundError: no such folder, or no weights in it.
        ModelError: weights that are pickles, files that are not what they are called, several tensors of one
            name, shards that are missing.
        IntegrityError: a file that was cut or damaged.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ModelNotFoundError(f"{folder}: no such folder; expected a checkpoint with config.json")
        self.folder = folder
        config = self.json("config.json")
        if config is None:
            raise ModelNotFoundError(f"{folder}: no config.json there: not the folder of a checkpoint")
        self.config: dict[str, Any] = config
        self._files: dict[str, SafeFile] = {}
        for path in _shards(folder, self.json(_INDEX)):
            self._add(SafeFile(path))

    @property
    def names(self) -> list[str]:
        """Of all tensors."""
        return list(self._files)

    def entry(self, name: str) -> Entry:
        """Dtype and shape of a tensor."""
        return self._files[name].entries[name]

    def read(self, name: str) -> Array:
        """A whole tensor, float32."""
        return self._files[name].read(name)

    def blocks(self, name: str) -> Iterator[Array]:
        """A tensor's rows in blocks of a few MB, float32."""
        return self._files[name].blocks(name)

    def json(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the folder, None if it is not there.

        Raises:
            ModelError: it is no JSON object.
        """
        text = self.text(name)
        if text is None:
            return None
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{self.folder / name}: not JSON ({error})") from error
        if not isinstance(values, dict):
            raise ModelError(f"{self.folder / name}: a {type(values).__name__}, expected an object")
        return values

    def text(self, name: str) -> str | None:
        """A text file of the folder, None if it is not there."""
        path = self.folder / name
        try:
            if path.stat().st_size > _MAX_JSON:
                raise ModelError(f"{path}: {path.stat().st_size} bytes, at most {_MAX_JSON}")
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise ModelError(f"{path}: not UTF-8 text ({error})") from error
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({reason(error)})") from error

    def _add(self, file: SafeFile) -> None:
        for name in file.entries:
            if name in self._files:
                raise ModelError(
                    f"{self.folder}: {name} is both in {self._files[name].path.name} and {file.path.name}"
                )
            self._files[name] = file


def _shards(folder: Path, index: dict[str, Any] | None) -> list[Path]:
    """The files with weights."""
    if index is None:
        if (folder / _ONE).is_file():
            return [folder / _ONE]
        pickle = next((p for pattern in _PICKLES for p in sorted(folder.glob(pattern))), None)
        if pickle:
            raise ModelError(
                f"{pickle}: a pickle, which would run code when read: save the model again where it was "
                "trained, with save_pretrained(..., safe_serialization=True)"
            )
        raise ModelNotFoundError(f"{folder}: no {_ONE} there, nor {_INDEX}")
    files = index.get("weight_map")
    if not isinstance(files, dict) or not files or not all(isinstance(f, str) for f in files.values()):
        raise ModelError(f"{folder / _INDEX}: weight_map should be an object: tensor -> file")
    names = sorted(set(files.values()))
    strange = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
    if strange:
        raise ModelError(f"{folder / _INDEX}: {strange[0][:80]!r} is not a .safetensors file of this folder")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise IntegrityError(f"{folder}: {missing[0]} is missing, one of {len(names)} files; fetch it again")
    return [folder / name for name in names]
