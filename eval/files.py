"""Writing files so that nobody ever sees half of one, and finding out early where nothing can be written."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from ..zoo.errors import RunError

MIN_FREE_BYTES = 16 * 2**20


def atomic_write(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one step: the old file or the new one is there, never a part.

    Raises:
        RunError: the folder cannot be written or the disk is full; ``path`` is untouched.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> atomic_write(path, b"all of it")
        >>> path.read_bytes()
        b'all of it'
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunError(f"{path}: cannot be written ({reason(error)}); what was there is untouched") from error


def prepare_folder(folder: Path, option: str = "--out") -> Path:
    """Make ``folder`` if need be and prove that it can be written, before any work is done.

    Args:
        folder: where files will go.
        option: the option to name in the message, which is the one to change.

    Raises:
        RunError: it is a file, cannot be made or written, or its disk has less than 16 MiB left.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}.tmp"
        probe.write_bytes(b"voxzoo")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise RunError(
            f"{folder}: cannot be written ({reason(error)}); give another folder with {option}"
        ) from error
    if free < MIN_FREE_BYTES:
        raise RunError(
            f"{folder}: only {free / 2**20:.1f} MiB left on this disk, at least "
            f"{MIN_FREE_BYTES // 2**20} are needed; make room or give another folder with {option}"
        )
    return folder


def reason(error: OSError) -> str:
    """The system's own words for an error, in lower case and without the file name."""
    return (error.strerror or str(error) or type(error).__name__).lower()
