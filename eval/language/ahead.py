"""Several questions under way at once, answers kept in the order of the questions."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

from ...zoo.errors import VoxzooError

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    ask: Callable[[T], R], items: Iterable[T], keep: Callable[[T, R | VoxzooError], None], most: int = 1
) -> None:
    """Ask about every item and keep what comes back, in the items' order.

    Where waiting is interrupted (Ctrl-C), answers that are there already are still kept; those under way are
    not waited for.

    Args:
        ask: from any thread, if ``most`` is above 1.
        items: taken as room becomes free.
        keep: called in this thread; a ``VoxzooError`` stands for an answer that failed.
        most: so many are under way at once.

    Example:
        >>> in_order(lambda n: n * n, [3, 1, 2], lambda n, square: print(n, square), most=2)
        3 9
        1 1
        2 4
    """
    waiting: deque[tuple[T, Future[R | VoxzooError]]] = deque()
    try:
        for item in items:
            if most == 1:
                keep(item, _outcome(ask, item))
                continue
            waiting.append((item, _start(ask, item)))
            if len(waiting) >= most:
                _keep_first(waiting, keep)
        while waiting:
            _keep_first(waiting, keep)
    except KeyboardInterrupt:
        for item, future in waiting:
            if future.done() and future.exception() is None:
                keep(item, future.result())
        raise


def _outcome(ask: Callable[[T], R], item: T) -> R | VoxzooError:
    try:
        return ask(item)
    except VoxzooError as error:
        return error


def _start(ask: Callable[[T], R], item: T) -> Future[R | VoxzooError]:
    """A daemon thread for each: one that waits for a server never keeps the process from ending."""
    future: Future[R | VoxzooError] = Future()

    def work() -> None:
        try:
            future.set_result(_outcome(ask, item))
        finally:  # whatever else went wrong is raised where it is waited for
            if not future.done():
                future.set_exception(sys.exception())

    threading.Thread(target=work, name="voxzoo-ask", daemon=True).start()
    return future


def _keep_first(
    waiting: deque[tuple[T, Future[R | VoxzooError]]], keep: Callable[[T, R | VoxzooError], None]
) -> None:
    item, future = waiting[0]
    outcome = future.result()
    waiting.popleft()
    keep(item, outcome)
