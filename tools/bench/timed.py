"""What the peers' workers share: how each file is timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def timed(recognize: Callable[[str], str], paths: list[str]) -> list[dict[str, Any]]:
    """Text, wall-clock and processor seconds of each file, after one as a warm-up."""
    recognize(paths[0])
    results = []
    for path in paths:
        wall, cpu = time.perf_counter(), time.process_time()
        text = recognize(path)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        results.append({"text": text, "wall_s": wall, "cpu_s": cpu})
    return results
