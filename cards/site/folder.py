"""The site's folder: written beside the old one and put in its place when it is whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ...eval.files import prepare_folder, reason
from ...zoo.errors import RunError

MARK = "voxzoo-site.json"
"""Says that a folder is a site of ours, so that it may be replaced."""


class Target:
    """Collects the files of a site.

    Args:
        folder: in which they are written first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = self.bytes = 0

    def write(self, name: str, content: bytes) -> None:
        """Add a file; one that is there already is the same one.

        Args:
            name: relative, with slashes; made of slugs, so that it cannot leave the folder.
            content: of the file.

        Raises:
            RunError: it cannot be written.
        """
        path = self.folder / name
        if path.exists():
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({reason(error)})") from error
        self.files += 1
        self.bytes += len(content)


@contextlib.contextmanager
def replaced(out: Path) -> Iterator[Target]:
    """A folder to write a site into, which becomes ``out`` if nothing fails; else ``out`` stays as it was.

    Raises:
        RunError: ``out`` holds something else than a site, or cannot be written.
    """
    _check(out)
    prepare_folder(out.parent)
    fresh = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        fresh.mkdir()
        yield Target(fresh)
        _swap(fresh, out)
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({reason(error)})") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _check(out: Path) -> None:
    if not out.exists() or (out / MARK).is_file():
        return
    if not out.is_dir():
        raise RunError(f"{out}: is a file; a site is a folder")
    if any(out.iterdir()):
        raise RunError(f"{out}: holds something that is no site of voxzoo; give another folder with --out")


def _swap(fresh: Path, out: Path) -> None:
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    if out.exists():
        out.rename(old)
    try:
        fresh.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
