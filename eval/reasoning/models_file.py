"""A list of models in one YAML file: GGUF files, checkpoints, endpoints, each with options of its own.

::

    models:
      - model: small.gguf
      - model: openai:http://127.0.0.1:8080/v1#large
        name: large
        options: {concurrency: 4, temperature: 0.7}
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.errors import UsageError
from .. import files
from .settling import Spec

if TYPE_CHECKING:
    from ..options import Options

OWN = ("runtime", "device", "precision", "threads", "contract", "temperature", "grammar", "concurrency")
"""Options that each model may have of its own."""
FIELDS = ("model", "name", "options")


@dataclass(frozen=True)
class Entry:
    """A model of a list.

    Attributes:
        model: as after ``--model``, or an opened one.
        name: in tables; None is the model's own.
        options: that differ from those of the command.
    """

    model: Spec
    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """For messages, before it is open."""
        spec = self.model
        return self.name or (os.fspath(spec) if isinstance(spec, str | os.PathLike) else spec.name)

    def of(self, options: Options) -> Options:
        """The options of its run.

        Raises:
            UsageError: a value that cannot be.
        """
        return replace(options, **self.options) if self.options else options


def read_models(path: Path) -> list[Entry]:
    """The models of a YAML file, in its order.

    Raises:
        UsageError: it cannot be read, is not shaped so, or names two models alike.
    """
    plain = _loaded(path)
    if isinstance(plain, dict) and set(plain) == {"models"}:
        plain = plain["models"]
    if not isinstance(plain, list) or not plain:
        raise UsageError(f"{path}: expected a list of models, each with model: and perhaps name:, options:")
    entries = [_entry(path, number, each) for number, each in enumerate(plain, 1)]
    names = [entry.called for entry in entries]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{path}: two models are called {twice[0]!r}; give each a name:")
    return entries


def _loaded(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({files.reason(error)})") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: not YAML: {told}") from error


def _entry(path: Path, number: int, plain: Any) -> Entry:
    where = f"{path}: model {number}"
    if isinstance(plain, str):
        plain = {"model": plain}
    if not isinstance(plain, dict):
        raise UsageError(f"{where}: got {plain!r}, expected model:, name:, options:")
    unknown = [key for key in plain if key not in FIELDS]
    if unknown:
        raise UsageError(f"{where}: unknown {unknown[0]!r}, expected {', '.join(FIELDS)}")
    for key in ("model", "name"):
        value = plain.get(key)
        if (key == "model" or value is not None) and (not isinstance(value, str) or not value.strip()):
            raise UsageError(f"{where}: {key} is {value!r}, expected a text")
    options = plain.get("options") or {}
    if not isinstance(options, dict):
        raise UsageError(f"{where}: options is {options!r}, expected NAME: VALUE pairs")
    unknown = [key for key in options if key not in OWN]
    if unknown:
        raise UsageError(f"{where}: unknown option {unknown[0]!r}, expected some of {', '.join(OWN)}")
    return Entry(plain["model"].strip(), plain.get("name"), options)
