"""Weights stored small: as int8 differences from those that training began with.

These are an encoder's upper blocks, or another model's hidden layers. Training moves them little,
and what it moved is all that has to be stored: a matrix as its difference, rounded to 127 steps of
the row's largest, everything else as float16. A row's largest difference d comes back within
d / 254.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.bundle import ACOUSTIC_FILE, IVECTOR_FILE, Bundle, open_bundle, write_bundle
from asr.encoders.layouts import Arrays
from asr.encoders.store import find_encoder
from asr.errors import ModelError

PACKED = "packed"
"""Key of a bundle's section "acoustic" where its weights are packed, and how."""
FROM_ENCODER, FROM_MODEL = (
    f"int8 differences from the {begun}" for begun in ("encoder", "model that it began with")
)
STEPS = 127
_SCALE = ".scale"


def pack(weights: Arrays, own: Arrays) -> dict[str, NDArray[np.generic]]:
    """Small arrays for float32 weights.

    Args:
        weights: of a network.
        own: those that it began with, by the same names; others of other shapes are left alone.

    Raises:
        ModelError: a weight that float16 cannot hold.
    """
    packed: dict[str, NDArray[np.generic]] = {}
    for name, weight in weights.items():
        if name in own and weight.ndim == 2 and weight.shape == own[name].shape:
            difference = weight.astype(np.float32) - own[name].astype(np.float32)
            scale = np.abs(difference).max(axis=1, keepdims=True) / STEPS
            steps = difference / np.where(scale > 0, scale, 1)
            packed[name] = np.round(steps).astype(np.int8)
            packed[name + _SCALE] = scale.astype(np.float32)
        else:
            packed[name] = half(weight)
    return packed


def unpack(packed: Arrays, own: Arrays) -> dict[str, NDArray[np.generic]]:
    """Inverse of :func:`pack`, but for rounding.

    Raises:
        ModelError: arrays that do not fit those that they are differences from.
    """
    weights: dict[str, NDArray[np.generic]] = {}
    for name, array in packed.items():
        if name.endswith(_SCALE):
            continue
        if array.dtype != np.int8:
            weights[name] = np.array(array)
            continue
        scale = packed.get(name + _SCALE)
        if scale is None or name not in own or own[name].shape != array.shape:
            raise ModelError(f"the packed {name} does not fit what it changes: install again")
        moved = array.astype(np.float32) * np.asarray(scale)
        weights[name] = own[name].astype(np.float32) + moved
    return weights


def half(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """float16 of float32; integers stay.

    Raises:
        ModelError: a weight that it cannot hold.
    """
    if array.dtype != np.float32:
        return np.array(array)
    with np.errstate(over="ignore"):
        result = array.astype(np.float16)
    if not np.isfinite(result).all():
        raise ModelError("a weight is beyond float16")
    return result


def unpack_bundle(path: Path, out: Path, base: Bundle | None = None) -> None:
    """Write to ``out`` the bundle ``path`` with whole weights.

    Args:
        base: the model that its training began with, which also has its i-vector extractor; None:
            an encoder, which is found by its name.

    Raises:
        ModelError: it is not packed in a known way, or its encoder is not at hand.
    """
    bundle = open_bundle(path)
    sections = bundle.manifest.sections
    acoustic = dict(sections["acoustic"])
    if acoustic.pop(PACKED, None) != (FROM_ENCODER if base is None else FROM_MODEL):
        raise ModelError(f"{path} is not packed as this version packs: upgrade malsori")
    tensors: dict[str, Any] = {name: bundle.tensors(name) for name in bundle.files}
    own = own_blocks(bundle) if base is None else base.tensors(ACOUSTIC_FILE)
    tensors[ACOUSTIC_FILE] = unpack(tensors[ACOUSTIC_FILE], own)
    if base is not None and "ivector" in sections:
        tensors[IVECTOR_FILE] = base.tensors(IVECTOR_FILE)
    manifest = replace(bundle.manifest, sections={**sections, "acoustic": acoustic})
    write_bundle(out, manifest, tensors)


def own_blocks(bundle: Bundle) -> dict[str, NDArray[np.generic]]:
    """The weights that the upper blocks of a model on an encoder began with."""
    sections = bundle.manifest.sections
    encoder = find_encoder(sections["features"]["encoder"], "cpu")
    blocks = encoder.upper_blocks(encoder.layers - int(sections["features"]["layers"]))
    return {name: weight.numpy() for name, weight in blocks.items()}
