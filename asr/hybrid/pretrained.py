"""Layers pre-trained on the features of a Gaussian mixture system, with or without texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from asr.gmm.decoding import GmmDecoder
from asr.gmm.features import Spoken, cepstra
from asr.gmm.fmllr import transforms_for_texts
from asr.gmm.model import GmmModel
from asr.pretraining.frames import gather_frames
from asr.pretraining.greedy import GreedyConfig, pretrain_layers
from asr.pretraining.stack import LayerStack
from asr.progress import Progress
from asr.work_folder import claim

LAYERS = "pretraining"


def pretrained_layers(
    model: GmmModel,
    known: Mapping[str, Tensor],
    untranscribed: Sequence[Spoken],
    context: int,
    config: GreedyConfig,
    work: Path,
    progress: Progress,
    device: str,
) -> tuple[LayerStack, int]:
    """Train layers greedily, and keep each in ``work`` until all are there.

    Args:
        known: id → float32 [T, D], features of the transcribed speech.
        untranscribed: further speech. Where the system has speakers' transforms, it is recognised
            once to find those.
        context: frames to either side of a window's middle.

    Returns:
        The layers, and how many frames they have seen.
    """
    feats = dict(known) | _features(model, untranscribed, lambda d, w: progress(0.3 * d, w))
    folder = work / LAYERS
    claim(folder, {**asdict(config), "context": context}, feats)
    path = folder / "layers.safetensors"
    begun = LayerStack.load(path).to(device) if path.exists() else None
    pool = gather_frames(sorted(feats), feats.__getitem__, context).to(device)
    stack = pretrain_layers(
        pool, config, lambda d, w: progress(0.3 + 0.7 * d, w), begun,
        after_layer=lambda done: done.to("cpu").save(path),
    )  # fmt: skip
    return stack.to("cpu"), len(pool)


def _features(
    model: GmmModel, speech: Sequence[Spoken], progress: Progress
) -> dict[str, Tensor]:
    """What the model's Gaussians take of speech whose texts nobody knows: float32 [T, D] each."""
    if not speech:
        return {}
    found = cepstra(speech, model.front_end, progress)
    transforms = {}
    if model.independent is not None:
        decoder = GmmDecoder.with_shipped_lm(model)
        texts = decoder.first_pass(found, progress)
        transforms = transforms_for_texts(model, found, texts)
    return {
        name: torch.from_numpy(model.features(frames, transforms.get(found.speaker[name])))
        for name, frames in found.frames.items()
    }
