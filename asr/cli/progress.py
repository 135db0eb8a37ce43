"""Progress on standard error: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from asr.progress import Progress


@contextlib.contextmanager
def shown_progress() -> Iterator[Progress]:
    """Yield a callback that shows how far building or importing a model has come."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.close()


class _Bar:
    """A percentage, drawn from the first report on: most often a model is there already."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, fraction: float, message: str) -> None:
        if self._bar is None:
            from tqdm import tqdm

            form = "{desc}: {percentage:3.0f}% {bar} {elapsed}"
            self._bar = tqdm(total=100, bar_format=form, leave=False)
        self._bar.set_description_str(message, refresh=False)
        self._bar.n = round(100 * fraction)
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Lines:
    """Prints each new message once."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, fraction: float, message: str) -> None:
        if message != self._last:
            print(f"asr: {message}", file=sys.stderr, flush=True)
            self._last = message


class SoundBar:
    """A bar over seconds of sound; shows nothing unless standard error is a terminal."""

    def __init__(self, total_seconds: float | None) -> None:
        from tqdm import tqdm

        counted = "{desc}: {n:.0f} s of sound in {elapsed}"
        measured = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}<{remaining}"
        self._total = total_seconds
        self._bar = tqdm(
            total=total_seconds,
            desc="recognising",
            bar_format=counted if total_seconds is None else measured,
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def advance(self, seconds: float) -> None:
        """Report more sound as done. May be called from several threads."""
        with self._bar.get_lock():
            left = seconds if self._total is None else max(0.0, self._total - self._bar.n)
            self._bar.update(min(seconds, left))

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Clear the bar while something else is printed."""
        with self._bar.external_write_mode():
            yield

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()
