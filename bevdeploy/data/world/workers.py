"""Parts recorded by several processes, each started afresh (spawn): safe beside threads and CUDA."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from bevdeploy.errors import OutputError

Job = TypeVar("Job")
Result = TypeVar("Result")


Choice = Callable[[Sequence[Job], Sequence[Job], Job | None], Job | None]
"""Of the jobs that wait, the next one for a process, by those that run elsewhere and the last one it did itself; None
lets it wait until one of those ends."""


def in_order(waiting: Sequence[Job], running: Sequence[Job], last: Job | None) -> Job | None:
    """The first that waits."""
    return waiting[0]


def results_of(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, choice: Choice[Job] = in_order
) -> Iterator[tuple[Job, Result]]:
    """Each job with what `work` gives for it, in the order in which they end. One worker is this process.

    Raises:
        OutputError: a process died (killed, or out of memory); besides whatever `work` raises.
    """
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, work(job)
        return
    spawn = multiprocessing.get_context("spawn")
    pools = [ProcessPoolExecutor(1, spawn, initializer=_begin_worker) for _ in range(min(workers, len(jobs)))]
    last: dict[ProcessPoolExecutor, Job | None] = dict.fromkeys(pools)
    running: dict[Future[Result], tuple[ProcessPoolExecutor, Job]] = {}
    waiting = list(jobs)

    def keep_busy() -> None:
        busy = {pool for pool, _ in running.values()}
        for pool in (pool for pool in pools if pool not in busy):
            chosen = choice(waiting, [job for _, job in running.values()], last[pool]) if waiting else None
            if chosen is not None:
                waiting.remove(chosen)
                with _one_thread_each():
                    running[pool.submit(work, chosen)] = pool, chosen

    try:
        keep_busy()
        while running:
            future = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
            result = future.result()
            pool, job = running.pop(future)
            last[pool] = job
            keep_busy()
            yield job, result
    except BrokenProcessPool as error:
        raise OutputError(
            f"one of {workers} processes that render was killed, perhaps for want of memory; run the same command "
            "again with fewer --workers: finished parts are kept"
        ) from error
    finally:
        for pool in pools:
            pool.shutdown(wait=True)


def _begin_worker() -> None:
    """Ctrl-C is the parent's business; a worker whose parent is gone ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Workers inherit one thread for linear algebra: the processes are the parallelism."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
