"""Cases through their stages with overlap: the next are loaded and the last are scored while the model runs.

Threads suffice: inflating, kernels and runtimes release the GIL.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from .records import CaseRecord
from .stages import Job, Known, Loaded, finish, infer, load, nothing_known, run_case

if TYPE_CHECKING:
    from ..zoo.images import AnyCase

Keep = Callable[[Sequence[CaseRecord]], None]


def stream(
    job: Job, cases: Sequence[AnyCase], known: Known = nothing_known, *, keep: Keep, workers: int = 2
) -> None:
    """Run a job over cases.

    At most ``workers`` + 1 cases wait loaded and as many wait to be scored, so memory does not grow with
    the dataset. When this is left by an exception (Ctrl-C), what has been inferred is still scored and kept.

    Args:
        job: models and options.
        cases: in the order to take them.
        known: records that are on file.
        keep: called with the records of each case as it finishes, from any thread.
        workers: threads that load, and as many that score; 0 does one thing after the other in this one.
    """
    if workers == 0:
        for case in cases:
            keep(run_case(job, case, known))
    else:
        _overlap(job, cases, known, keep, workers)


def _overlap(job: Job, cases: Sequence[AnyCase], known: Known, keep: Keep, workers: int) -> None:
    def settle(loaded: Loaded) -> None:
        keep(finish(job, loaded))

    apart = None if job.meter is None else job.meter.cpu.leave_out  # their CPU time is not the model's
    with (
        ThreadPoolExecutor(workers, "voxzoo-score", apart) as scorers,
        ThreadPoolExecutor(workers, "voxzoo-load", apart) as loaders,
    ):
        waiting: deque[Future[None]] = deque()
        try:
            for loaded in _ahead(loaders, job, cases, known, workers + 1):
                infer(job, loaded)
                waiting.append(scorers.submit(settle, loaded))
                while len(waiting) > workers:
                    waiting.popleft().result()
            while waiting:
                waiting.popleft().result()
        except BaseException:
            loaders.shutdown(wait=False, cancel_futures=True)
            raise


def _ahead(
    pool: ThreadPoolExecutor, job: Job, cases: Sequence[AnyCase], known: Known, ahead: int
) -> Iterator[Loaded]:
    """Loaded cases in order; at most ``ahead`` are loaded before they are asked for."""
    queue: deque[Future[Loaded]] = deque()
    for case in cases:
        queue.append(pool.submit(load, job, case, known))
        if len(queue) > ahead:
            yield queue.popleft().result()
    while queue:
        yield queue.popleft().result()
