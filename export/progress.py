"""What a person sees while a training runs: a live line on a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

REFRESH_SECONDS = 0.5


class Progress(Protocol):
    """What the training loop tells."""

    def start(self, step: int, steps: int, metric: str) -> None:
        """Training goes on from ``step`` of ``steps``."""
        ...

    def tick(self, step: int, loss: Tensor) -> None:
        """A step was done; reading the loss waits for the device, so few should."""
        ...

    def line(self, line: dict[str, Any]) -> None:
        """A validation was done: a line of the curve."""
        ...

    def stop(self) -> None:
        """Training ended, or broke off."""
        ...


class Silent:
    """Shows nothing; ``on_line`` is called with each line of the curve."""

    def __init__(self, on_line: Callable[[dict[str, Any]], None] = lambda line: None) -> None:
        self.on_line = on_line

    def start(self, step: int, steps: int, metric: str) -> None:
        pass

    def tick(self, step: int, loss: Tensor) -> None:
        pass

    def line(self, line: dict[str, Any]) -> None:
        self.on_line(line)

    def stop(self) -> None:
        pass


class Plain:
    """One line per validation, for logs.

    Args:
        say: prints a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def start(self, step: int, steps: int, metric: str) -> None:
        self.first, self.steps, self.metric, self.began = step, steps, metric, time.monotonic()

    def tick(self, step: int, loss: Tensor) -> None:
        pass

    def line(self, line: dict[str, Any]) -> None:
        pace = (time.monotonic() - self.began) / max(1, line["step"] - self.first)
        left = duration(pace * (self.steps - line["step"]))
        self.say(f"step {line['step']}/{self.steps}: {described(line, self.metric)}, {left} left")

    def stop(self) -> None:
        pass


class Live:
    """A bar with loss, score and time left that stays in place; validations scroll above it."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Bar(*columns, TextColumn("{task.fields[shown]}"), TimeRemainingColumn())
        self._score = ""
        self._looked = 0.0

    def start(self, step: int, steps: int, metric: str) -> None:
        self._metric = metric
        self._task = self._bar.add_task("training", total=steps, completed=step, shown="")
        self._bar.start()

    def tick(self, step: int, loss: Tensor) -> None:
        if time.monotonic() - self._looked < REFRESH_SECONDS:
            return
        self._looked = time.monotonic()
        self._bar.update(self._task, completed=step, shown=f"loss {float(loss):.4f}{self._score}")

    def line(self, line: dict[str, Any]) -> None:
        if line["score"] is not None:
            self._score = f", {self._metric} {line['score']:.4f}"
        self._bar.update(self._task, completed=line["step"])
        self._bar.console.print(f"step {line['step']}: {described(line, self._metric)}", highlight=False)

    def stop(self) -> None:
        self._bar.stop()
        self._bar.remove_task(self._task)


def described(line: dict[str, Any], metric: str) -> str:
    """Loss and held-out score of a line of the curve.

    Example:
        >>> described({"loss": 0.5, "score": 0.25}, "Dice")
        'loss 0.5000, held-out Dice 0.2500'
    """
    score = "" if line["score"] is None else f", held-out {metric} {line['score']:.4f}"
    return f"loss {line['loss']:.4f}{score}"


def duration(seconds: float) -> str:
    """Hours and minutes, minutes, or seconds.

    Example:
        >>> duration(42.3), duration(600), duration(7500)
        ('42 s', '10 min', '2 h 05 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
