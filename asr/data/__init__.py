"""Speech data: published corpora, Kaldi data directories, archives, augmentation, batches."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from asr.data.corpora import (
    CORPUS_FOLDERS,
    Utterance,
    load_split,
    read_emotiontts,
    read_pansori,
)

if TYPE_CHECKING:
    from asr.data.archives import ArkWriter, ScpReader, read_ark
    from asr.data.batching import BatchConfig, BucketSampler
    from asr.data.directory import DataDir, DirUtterance

# Loaded on first use: reading a corpus needs none of it.
_HOMES = {
    "ArkWriter": "archives",
    "BatchConfig": "batching",
    "BucketSampler": "batching",
    "DataDir": "directory",
    "DirUtterance": "directory",
    "ScpReader": "archives",
    "read_ark": "archives",
}

__all__ = [
    "CORPUS_FOLDERS",
    "ArkWriter",
    "BatchConfig",
    "BucketSampler",
    "DataDir",
    "DirUtterance",
    "ScpReader",
    "Utterance",
    "load_split",
    "read_ark",
    "read_emotiontts",
    "read_pansori",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
