"""Weights of an encoder's upper blocks, stored small: as int8 differences from the encoder's own.

Training moves them little, and what it moved is all that has to be stored: a matrix as its
difference, rounded to 127 steps of the row's largest, everything else as float16. A row's largest
difference d comes back within d / 254.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from asr.bundle import ACOUSTIC_FILE, Bundle, open_bundle, write_bundle
from asr.encoders.layouts import Arrays
from asr.encoders.store import find_encoder
from asr.errors import ModelError

PACKED = "packed"
"""Key of a bundle's section "acoustic" where its weights are packed, and how."""
KIND = "int8 differences from the encoder"
STEPS = 127
_SCALE = ".scale"


def pack(weights: Arrays, own: Mapping[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    """Small arrays for float32 weights.

    Args:
        weights: of an :class:`~asr.acoustic.encoder_top.EncoderTop`.
        own: the encoder's, by the same names (:meth:`upper_blocks`).

    Raises:
        ModelError: a weight that float16 cannot hold.
    """
    packed: dict[str, NDArray[np.generic]] = {}
    for name, weight in weights.items():
        if name in own and weight.ndim == 2:
            difference = weight.astype(np.float32) - own[name].numpy()
            scale = np.abs(difference).max(axis=1, keepdims=True) / STEPS
            steps = difference / np.where(scale > 0, scale, 1)
            packed[name] = np.round(steps).astype(np.int8)
            packed[name + _SCALE] = scale.astype(np.float32)
        else:
            packed[name] = half(weight)
    return packed


def unpack(packed: Arrays, own: Mapping[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    """Inverse of :func:`pack`, but for rounding.

    Raises:
        ModelError: arrays that do not fit the encoder.
    """
    weights: dict[str, NDArray[np.generic]] = {}
    for name, array in packed.items():
        if name.endswith(_SCALE):
            continue
        if array.dtype != np.int8:
            weights[name] = np.array(array)
            continue
        scale = packed.get(name + _SCALE)
        if scale is None or name not in own or tuple(own[name].shape) != array.shape:
            raise ModelError(f"the packed weights {name} do not fit the encoder: install again")
        weights[name] = own[name].numpy() + array.astype(np.float32) * np.asarray(scale)
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


def unpack_bundle(path: Path, out: Path) -> None:
    """Write to ``out`` the bundle ``path`` with whole weights.

    Raises:
        ModelError: it is not packed in a known way, or its encoder is not at hand.
    """
    bundle = open_bundle(path)
    sections = bundle.manifest.sections
    acoustic = dict(sections["acoustic"])
    if acoustic.pop(PACKED, None) != KIND:
        raise ModelError(f"{path} is not packed as this version packs: upgrade malsori")
    tensors: dict[str, Any] = {name: bundle.tensors(name) for name in bundle.files}
    tensors[ACOUSTIC_FILE] = unpack(tensors[ACOUSTIC_FILE], own_blocks(bundle))
    manifest = replace(bundle.manifest, sections={**sections, "acoustic": acoustic})
    write_bundle(out, manifest, tensors)


def own_blocks(bundle: Bundle) -> dict[str, Tensor]:
    """The weights that the upper blocks of a model on an encoder began with."""
    sections = bundle.manifest.sections
    encoder = find_encoder(sections["features"]["encoder"], "cpu")
    return encoder.upper_blocks(encoder.layers - int(sections["features"]["layers"]))
