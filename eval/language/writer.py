"""Appending to a transcript while a model answers: what was said is never asked for again."""

from __future__ import annotations

import os
from pathlib import Path

from ...zoo.errors import RunError
from .. import files
from .answers import Answer
from .transcripts import read_transcript


class TranscriptWriter:
    """Appends answers to a transcript as they come; each is on the disk before ``append`` returns.

    A line cut short by a crash is dropped when the file is opened again; :attr:`answers` are those already
    there.

    Args:
        path: the file; made if it is not there.

    Raises:
        RunError: it cannot be read or written, or holds lines that are no answers.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "t.jsonl"
        >>> with TranscriptWriter(path) as writer:
        ...     writer.append(Answer("grade", "toy", "p1", 40, "Choice: 1"))
        >>> with TranscriptWriter(path) as writer:
        ...     [answer.raw for answer in writer.answers]
        ['Choice: 1']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({files.reason(error)})") from error
        try:
            self._drop_torn_line()
            found = read_transcript(self.path)
        except BaseException:
            os.close(self._file)
            raise
        if found.problems:
            os.close(self._file)
            raise RunError(f"{found.problems[0]}; give another file, or repair this one")
        self.answers = found.answers

    def __enter__(self) -> TranscriptWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, answer: Answer) -> None:
        """Add one answer.

        Raises:
            RunError: it could not be written (disk full, say).
        """
        view = memoryview(answer.to_line().encode() + b"\n")
        try:
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({files.reason(error)})") from error

    def close(self) -> None:
        """Release the file; twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _drop_torn_line(self) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)
