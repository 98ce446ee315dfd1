"""Big files, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(target: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """A stream that becomes ``target`` when the block ends without an error, and vanishes otherwise.

    Args:
        target: its folder exists. What is there stays until the new file is whole.
        mode: permissions; default those that the process gives new files.

    Raises:
        OSError: it cannot be written.

    Example:
        >>> path = Path(tempfile.mkdtemp()) / "a.bin"
        >>> with whole_file(path) as stream:
        ...     _ = stream.write(b"all of it")
        >>> path.read_bytes()
        b'all of it'
    """
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask() if mode is None else mode)
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
