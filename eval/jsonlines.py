"""A file of JSON lines that is appended to and never rewritten: what a run has done survives its end.

The first line says which run the file belongs to. A line cut short by a crash is dropped when the file is
opened again, and no two processes write it at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..zoo.errors import RunError
from . import files


class JsonLines:
    """Lines on disk, each flushed to it before ``append`` returns.

    Args:
        path: the file; made with its first line if it is not there.
        schema: of the first line.
        run: what identifies the run; a file that holds another one is refused.

    Attributes:
        found: the lines that were there, but for the first; unreadable ones left out.

    Raises:
        RunError: the file belongs to another run, is in use by another process, or cannot be written.
    """

    def __init__(self, path: Path, schema: str, run: Mapping[str, Any]) -> None:
        self.path, self._schema = path, schema
        self.found: list[Any] = []
        self._lock = threading.Lock()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({files.reason(error)})") from error
        try:
            self._claim()
            self._recover(run)
        except BaseException:
            os.close(self._file)
            raise

    def append(self, plain: Mapping[str, Any]) -> None:
        """Add a line; it is on the disk when this returns. Safe from several threads.

        Raises:
            RunError: it could not be written (disk full, say); the file ends with its last whole line.
        """
        with self._lock:
            self._write(plain)

    def close(self) -> None:
        """Release the file; twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _claim(self) -> None:
        """Take the file for this process; two writers would mix their lines."""
        try:
            import fcntl
        except ImportError:  # not on Windows: there the second process is not noticed
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"{self.path.parent}: in use by another process; wait for it or give another --out"
            ) from error
        except OSError:  # a file system without locks
            return

    def _recover(self, run: Mapping[str, Any]) -> None:
        """Read what is there, cut a torn last line, check the run, or begin with a first line."""
        lines = self._whole_lines()
        if not lines:
            self._write({"schema": self._schema, "run": dict(run)})
            return
        check_same_run(_header(self.path, lines[0], self._schema), run, self.path.parent)
        for line in lines[1:]:
            # An unreadable line in the middle (a disk fault) costs its one item a second run, no more.
            with contextlib.suppress(ValueError):
                self.found.append(json.loads(line))

    def _whole_lines(self) -> list[bytes]:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)
        return data[:whole].splitlines()

    def _write(self, plain: Mapping[str, Any]) -> None:
        line = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        size = os.fstat(self._file).st_size
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise RunError(
                f"{self.path}: cannot be written ({files.reason(error)}); everything before is kept, "
                "and the same command goes on from there"
            ) from error


def _header(path: Path, line: bytes, schema: str) -> dict[str, Any]:
    try:
        plain = json.loads(line)
    except ValueError:
        plain = None
    if not isinstance(plain, dict) or not isinstance(plain.get("run"), dict):
        raise RunError(f"{path}: not a journal of voxzoo; give another --out, or --overwrite to replace it")
    if plain.get("schema") != schema:
        raise RunError(
            f"{path}: written as {plain.get('schema')!r}, this voxzoo writes {schema!r}; "
            "give another --out, or --overwrite to start afresh"
        )
    return dict(plain["run"])


def check_same_run(found: Mapping[str, Any], asked: Mapping[str, Any], folder: Path) -> None:
    """Refuse to mix two runs, saying in what they differ.

    Raises:
        RunError: ``found`` and ``asked`` are not equal.

    Example:
        >>> check_same_run({"seed": 0, "of": {"model": "a"}}, {"of": {"model": "a"}, "seed": 0}, Path("run"))
    """
    # Through JSON, so that tuples and lists or 1 and 1.0 do not differ by their container alone.
    before, after = flatten(json.loads(json.dumps(found))), flatten(json.loads(json.dumps(asked)))
    differing = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not differing:
        return
    shown = "; ".join(f"{n}: {before.get(n)!r} there, {after.get(n)!r} asked for" for n in differing[:3])
    more = f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
    raise RunError(
        f"{folder}: holds another run ({shown}{more}); give another --out, or --overwrite to replace it"
    )


def flatten(plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted names.

    Example:
        >>> flatten({"options": {"empty": "nan"}, "task": "segment"})
        {'options.empty': 'nan', 'task': 'segment'}
    """
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
