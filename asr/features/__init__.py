"""Kaldi-compatible features: MFCC, filterbanks, deltas, splicing and mean normalisation.

>>> import torch
>>> from asr.features import Mfcc, MfccConfig
>>> mfcc = Mfcc(MfccConfig(num_ceps=13, use_energy=False))
>>> features, frame_lengths = mfcc(torch.zeros(2, 8000), torch.tensor([8000, 4000]))
>>> features.shape, frame_lengths
(torch.Size([2, 48, 13]), tensor([48, 23]))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr.features.cmvn import (
        SlidingCmvnConfig,
        apply_cmvn,
        cmvn_stats,
        sliding_cmvn,
        speaker_cmvn,
        utterance_cmvn,
    )
    from asr.features.config import FbankConfig, FeatureConfig, FrameConfig, MelConfig, MfccConfig
    from asr.features.deltas import add_deltas, splice
    from asr.features.fbank import Fbank
    from asr.features.mfcc import Mfcc
    from asr.features.online_cmvn import OnlineCmvn, OnlineCmvnConfig
    from asr.features.stream import ContextStream, FeatureStream, delta_stream, splice_stream

# Loaded on first use: the command line reads the options of `config` without importing torch.
_HOMES = {
    "FbankConfig": "config",
    "FeatureConfig": "config",
    "FrameConfig": "config",
    "MelConfig": "config",
    "MfccConfig": "config",
    "Fbank": "fbank",
    "Mfcc": "mfcc",
    "SlidingCmvnConfig": "cmvn",
    "apply_cmvn": "cmvn",
    "cmvn_stats": "cmvn",
    "sliding_cmvn": "cmvn",
    "speaker_cmvn": "cmvn",
    "utterance_cmvn": "cmvn",
    "OnlineCmvn": "online_cmvn",
    "OnlineCmvnConfig": "online_cmvn",
    "add_deltas": "deltas",
    "splice": "deltas",
    "ContextStream": "stream",
    "FeatureStream": "stream",
    "delta_stream": "stream",
    "splice_stream": "stream",
}

__all__ = [
    "ContextStream",
    "Fbank",
    "FbankConfig",
    "FeatureConfig",
    "FeatureStream",
    "FrameConfig",
    "MelConfig",
    "Mfcc",
    "MfccConfig",
    "OnlineCmvn",
    "OnlineCmvnConfig",
    "SlidingCmvnConfig",
    "add_deltas",
    "apply_cmvn",
    "cmvn_stats",
    "delta_stream",
    "sliding_cmvn",
    "speaker_cmvn",
    "splice",
    "splice_stream",
    "utterance_cmvn",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
