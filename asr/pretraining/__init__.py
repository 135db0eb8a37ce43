"""Pre-training of networks on speech that nobody transcribed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "AutoencoderConfig": "autoencoder",
    "FramePool": "frames",
    "GreedyConfig": "greedy",
    "KmeansConfig": "kmeans",
    "LayerStack": "stack",
    "MaskConfig": "masking",
    "MaskedPrediction": "masked",
    "Quantizer": "kmeans",
    "Rbm": "rbm",
    "RbmConfig": "rbm",
    "pretrain_layers": "greedy",
    "take_over": "masked",
    "train_quantizer": "kmeans",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    """Names are resolved on first use: ``import asr.pretraining`` alone loads no torch."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
