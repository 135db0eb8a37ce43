"""Packed weights: small, and back within half a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asr.bundle import ACOUSTIC_FILE, Manifest, write_bundle
from asr.encoders.packed import pack, unpack, unpack_bundle
from asr.errors import ModelError

RANDOM = np.random.Generator(np.random.PCG64(3))


def test_back_within_half_a_step() -> None:
    own = {"blocks.0.up.weight": torch.randn(30, 40, generator=torch.Generator().manual_seed(1))}
    moved = RANDOM.normal(0, 0.01, (30, 40)).astype(np.float32)
    moved[4] = 0.0  # a row that training left as it was
    weights = {
        "blocks.0.up.weight": own["blocks.0.up.weight"].numpy() + moved,
        "project.weight": RANDOM.normal(size=(5, 6)).astype(np.float32),
        "norm.bias": RANDOM.normal(size=6).astype(np.float32),
    }
    packed = pack(weights, own)
    assert packed["blocks.0.up.weight"].dtype == np.int8
    back = unpack(packed, own)
    assert set(back) == set(weights)
    for name in ("project.weight", "norm.bias"):
        np.testing.assert_array_equal(back[name], weights[name].astype(np.float16))
    error = np.abs(back["blocks.0.up.weight"] - weights["blocks.0.up.weight"])
    largest = np.abs(moved).max(axis=1, keepdims=True)
    assert (error <= largest / 254 + 1e-6).all()
    np.testing.assert_array_equal(back["blocks.0.up.weight"][4], own["blocks.0.up.weight"][4])


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    own = {"w": torch.zeros(3, 4)}
    packed = pack({"w": np.ones((3, 4), np.float32)}, own)
    with pytest.raises(ModelError, match="do not fit the encoder"):
        unpack(packed, {"w": torch.zeros(3, 5)})
    with pytest.raises(ModelError, match="do not fit the encoder"):
        unpack({"w": packed["w"]}, own)
    with pytest.raises(ModelError, match="beyond float16"):
        pack({"v": np.full(2, 1e6, np.float32)}, own)
    other = Manifest("m", "ko", 16000, "none", sections={"acoustic": {"packed": "somehow"}})
    write_bundle(tmp_path / "other", other, {ACOUSTIC_FILE: packed})
    with pytest.raises(ModelError, match="upgrade malsori"):
        unpack_bundle(tmp_path / "other", tmp_path / "out")
    assert not (tmp_path / "out").exists()
