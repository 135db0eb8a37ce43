"""Pre-training of networks on speech that nobody transcribed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

NETWORK_FOLDER = "network"
"""Within what ``asr pretrain --kind masked`` writes."""

_WHERE = {
    "AutoencoderConfig": "autoencoder",
    "FramePool": "frames",
    "GreedyConfig": "greedy",
    "KmeansConfig": "kmeans",
    "LayerStack": "stack",
    "MaskConfig": "masking",
    "MaskedConfig": "masked_training",
    "MaskedPrediction": "masked",
    "Quantizer": "kmeans",
    "Rbm": "rbm",
    "RbmConfig": "rbm",
    "gather_frames": "frames",
    "pretrain_layers": "greedy",
    "pretrain_masked": "masked_training",
    "take_over": "masked",
    "train_quantizer": "kmeans",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    """Names are resolved on first use: ``import asr.pretraining`` alone loads no torch."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
