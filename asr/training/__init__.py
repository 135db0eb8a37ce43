"""Training of networks: batches, objectives, one loop, checkpoints, several processes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "Batch": "batch",
    "BatchSource": "source",
    "CrossEntropy": "cross_entropy",
    "DevSet": "evaluation",
    "Example": "batch",
    "LoadedBatches": "source",
    "MemoryBatches": "source",
    "Objective": "objective",
    "Summary": "trainer",
    "TrainConfig": "config",
    "Value": "objective",
    "collate": "batch",
    "train": "trainer",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    """Names are resolved on first use: ``import asr.training`` alone loads no torch."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
