"""The folder of a training: whose it is, and that only one process writes into it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..eval.files import atomic_write, prepare_folder
from ..zoo.errors import RunError, VoxzooError
from .recipe import Recipe, recipe_from


def claim(folder: Path, recipe: Recipe, cases: dict[str, list[str]], **facts: Any) -> None:
    """Take the folder for this training, or refuse one that holds another.

    Keys that recipes did not have yet when the folder was made count as their defaults. How answers are
    averaged afterwards is no part of the training: it may change, and the folder then says the new one.

    Args:
        folder: made if need be.
        recipe: with its steps settled.
        cases: ids by role.
        **facts: what else must be the same to go on (the hash of the weights it began with); left out if
            falsy.

    Raises:
        RunError: it cannot be written, or holds another training; the first difference is named.
    """
    path = prepare_folder(folder) / "recipe.json"
    kept = {name: value for name, value in facts.items() if value}
    if path.is_file():
        _same(path, recipe, {"cases": cases, **kept})
    content = {"recipe": recipe.to_dict(), "cases": cases, **kept}
    text = (json.dumps(content, indent=1) + "\n").encode()
    if not path.is_file() or path.read_bytes() != text:
        atomic_write(path, text)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock goes with the process, however it ends.

    Raises:
        RunError: another process trains into it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows: there the second process is not noticed
        yield
        return
    with (prepare_folder(folder) / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"{folder}: another process trains into it; wait, or give another --out"
            ) from error
        except OSError:  # a file system without locks
            pass
        yield


def _same(path: Path, recipe: Recipe, facts: dict[str, Any]) -> None:
    """Refuse the folder unless its recipe and facts are these."""
    other = f"{path.parent} holds another training (see {path.name} there)"
    advice = "go on with its own command, or give another --out"
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        theirs = recipe_from(there.pop("recipe"), path.name).to_dict()
    except (ValueError, KeyError, AttributeError, VoxzooError) as error:
        raise RunError(f"{path}: not readable as a training's ({error}); {advice}") from error
    mine, theirs = _flat({**json.loads(json.dumps(recipe.to_dict())), **facts}), _flat({**theirs, **there})
    for name in sorted(mine.keys() | theirs.keys()):
        if name.startswith("ensemble."):
            continue
        if mine.get(name) != theirs.get(name):
            raise RunError(f"{other}: {name} was {theirs.get(name)!r}, now {mine.get(name)!r}; {advice}")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one level of dotted names, lists for tuples."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = list(value) if isinstance(value, tuple) else value
    return out
