"""One run of something costly for what several threads ask of it at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from asr.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class GatherConfig:
    """How calls are gathered.

    Attributes:
        most: calls in one run, at most; 1 gathers none.
        at_once: runs at the same time. Calls that come while all of them go on wait, and the next
            run takes those that are alike together: so none waits where there is room.
        wait: seconds that a run waits for more calls before it begins (for GPUs).
    """

    most: int = 1
    at_once: int = 1
    wait: float = 0.0

    def __post_init__(self) -> None:
        if self.most < 1 or self.at_once < 1 or not 0 <= self.wait <= 1:
            raise UsageError("calls are gathered 1 or more at once, within 0 to 1 second")


@dataclass(eq=False, slots=True)
class _Call(Generic[T, R]):
    key: Hashable
    item: T
    future: Future[R] = field(default_factory=Future)


class Gatherer(Generic[T, R]):
    """Threads call it with one item each, and one of them runs all that are alike.

    Args:
        run: from items to as many results, in order.
        config: how many at once.
    """

    def __init__(self, run: Callable[[Sequence[T]], Sequence[R]], config: GatherConfig) -> None:
        self._run, self._config = run, config
        self._waiting: list[_Call[T, R]] = []
        self._running = 0
        self._changed = threading.Condition()

    def __call__(self, key: Hashable, item: T) -> R:
        """The result of an item; it may be run with others of the same key.

        Raises:
            Exception: what the run raised, which all its callers are told.
        """
        call: _Call[T, R] = _Call(key, item)
        with self._changed:
            self._waiting.append(call)
            self._changed.notify_all()
            while call in self._waiting and self._running >= self._config.at_once:
                self._changed.wait()
            batch = self._gathered(call) if call in self._waiting else []
        if batch:
            self._work_off(batch)
        return call.future.result()

    def _gathered(self, call: _Call[T, R]) -> list[_Call[T, R]]:
        """The call and those like it, which nobody else runs from now on."""
        self._running += 1
        self._waiting.remove(call)
        others = self._config.most - 1

        def alike() -> list[_Call[T, R]]:
            return [other for other in self._waiting if other.key == call.key][:others]

        if others and self._config.wait:
            self._changed.wait_for(lambda: len(alike()) >= others, self._config.wait)
        batch = [call, *alike()]
        for other in batch[1:]:
            self._waiting.remove(other)
        return batch

    def _work_off(self, batch: list[_Call[T, R]]) -> None:
        try:
            results = self._run([call.item for call in batch])
            for call, result in zip(batch, results, strict=True):
                call.future.set_result(result)
        except BaseException as error:
            for call in batch:
                if not call.future.done():
                    call.future.set_exception(error)
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()
