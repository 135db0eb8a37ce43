"""The threads that recognise: live sound goes first, uploads wait their turn in a bounded queue.

Work is cut into *steps* of a second or two at most. A worker that has finished a step takes the
next live step if there is one, else the next step of an upload. While there are live streams, one
of two or more workers is kept from uploads, so that they never wait for a whole step of theirs.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from asr.server.errors import ApiError

T = TypeVar("T")

RETRY_SECONDS = 5


class WorkPool:
    """Threads that run steps of live streams and of uploads.

    Args:
        workers: threads.
        waiting: uploads that may wait beside the ``workers`` that are in progress.

    Attributes:
        admitted: uploads that hold a place.
        running: uploads whose turn it is.
    """

    def __init__(self, workers: int, waiting: int) -> None:
        self.workers = workers
        self.places = workers + waiting
        self.admitted = 0
        self.running = 0
        self._turns = asyncio.Semaphore(workers)
        self._most_uploads = workers
        self._uploads_running = 0
        self._live: deque[_Step] = deque()
        self._uploads: deque[_Step] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"asr-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue for an upload, held while the block runs.

        Raises:
            ApiError: 503, none is left.
        """
        if self.admitted >= self.places:
            raise ApiError(503, f"{self.places} uploads are in progress or waiting",
                           code="overloaded", retry_after=RETRY_SECONDS)
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    async def take_turn(self) -> None:
        """Wait until the upload is one of the ``workers`` in progress; first come, first served.

        `end_turn` must follow.
        """
        await self._turns.acquire()
        self.running += 1

    def end_turn(self) -> None:
        """Let the next upload begin."""
        self.running -= 1
        self._turns.release()

    def keep_one_for_live(self, keep: bool) -> None:
        """Whether a worker is kept from uploads, where there are two or more."""
        with self._changed:
            self._most_uploads = max(1, self.workers - keep)
            self._changed.notify_all()

    async def run_live(self, step: Callable[[], T]) -> T:
        """Run a step of a live stream."""
        return await self._run(self._live, step)

    async def run_upload(self, step: Callable[[], T]) -> T:
        """Run a step of an upload."""
        return await self._run(self._uploads, step)

    def close(self, seconds: float = 5.0) -> None:
        """End the threads once nothing is left to do; wait for each no longer than that."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(seconds)

    async def _run(self, queue: deque[_Step], step: Callable[[], T]) -> T:
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the pool is closed")
            queue.append((step, future))
            self._changed.notify()
        return await asyncio.wrap_future(future)

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            (step, future), upload = taken
            try:
                if future.set_running_or_notify_cancel():
                    try:
                        result = step()
                    except BaseException as error:
                        future.set_exception(error)
                    else:
                        future.set_result(result)
            finally:
                if upload:
                    with self._changed:
                        self._uploads_running -= 1
                        self._changed.notify()
            del step, future, taken  # an idle worker holds nobody's sound

    def _take(self) -> tuple[_Step, bool] | None:
        """The next step, and whether it is of an upload; None when the pool is closed and empty."""
        with self._changed:
            while True:
                if self._live:
                    return self._live.popleft(), False
                if self._uploads and self._uploads_running < self._most_uploads:
                    self._uploads_running += 1
                    return self._uploads.popleft(), True
                if self._closed and not self._uploads:
                    return None
                self._changed.wait()


_Step = tuple[Callable[[], Any], Future[Any]]
