"""Packed weights: small, and back within half a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr.bundle import ACOUSTIC_FILE, IVECTOR_FILE, Manifest, open_bundle, write_bundle
from asr.errors import ModelError
from asr.packed import FROM_MODEL, PACKED, pack, unpack, unpack_bundle

RANDOM = np.random.Generator(np.random.PCG64(3))


def test_back_within_half_a_step() -> None:
    own = {"blocks.0.up.weight": RANDOM.normal(size=(30, 40)).astype(np.float32)}
    moved = RANDOM.normal(0, 0.01, (30, 40)).astype(np.float32)
    moved[4] = 0.0  # a row that training left as it was
    weights = {
        "blocks.0.up.weight": own["blocks.0.up.weight"] + moved,
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


def test_a_model_begun_with_another_gets_its_ivectors_back(tmp_path: Path) -> None:
    theirs = {"up/weight": RANDOM.normal(size=(4, 3)).astype(np.float32),
              "last/weight": RANDOM.normal(size=(9, 4)).astype(np.float32)}  # fmt: skip
    weights = {"up/weight": theirs["up/weight"] + np.float32(0.01),
               "last/weight": RANDOM.normal(size=(5, 4)).astype(np.float32)}  # fmt: skip
    ivectors = {"mean": RANDOM.normal(size=7).astype(np.float32)}
    write_bundle(tmp_path / "base", Manifest("base", "ko", 16000, "none"),
                 {ACOUSTIC_FILE: theirs, IVECTOR_FILE: ivectors})  # fmt: skip
    base = open_bundle(tmp_path / "base")
    sections = {"acoustic": {PACKED: FROM_MODEL, "scale": 1.0}, "ivector": {}}
    packed = pack(weights, theirs)
    assert packed["up/weight"].dtype == np.int8 and packed["last/weight"].dtype == np.float16
    write_bundle(tmp_path / "small", Manifest("small", "ko", 16000, "none", sections=sections),
                 {ACOUSTIC_FILE: packed})  # fmt: skip
    unpack_bundle(tmp_path / "small", tmp_path / "whole", base)
    whole = open_bundle(tmp_path / "whole")
    assert whole.manifest.sections["acoustic"] == {"scale": 1.0}
    np.testing.assert_array_equal(whole.tensors(IVECTOR_FILE)["mean"], ivectors["mean"])
    for name, array in whole.tensors(ACOUSTIC_FILE).items():
        np.testing.assert_allclose(array, weights[name], atol=2e-3)
    with pytest.raises(ModelError, match="upgrade malsori"):  # it is on no encoder
        unpack_bundle(tmp_path / "small", tmp_path / "other")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    own = {"w": np.zeros((3, 4), np.float32)}
    packed = pack({"w": np.ones((3, 4), np.float32)}, own)
    with pytest.raises(ModelError, match="does not fit what it changes"):
        unpack(packed, {"w": np.zeros((3, 5), np.float32)})
    with pytest.raises(ModelError, match="does not fit what it changes"):
        unpack({"w": packed["w"]}, own)
    with pytest.raises(ModelError, match="beyond float16"):
        pack({"v": np.full(2, 1e6, np.float32)}, own)
    other = Manifest("m", "ko", 16000, "none", sections={"acoustic": {"packed": "somehow"}})
    write_bundle(tmp_path / "other", other, {ACOUSTIC_FILE: packed})
    with pytest.raises(ModelError, match="upgrade malsori"):
        unpack_bundle(tmp_path / "other", tmp_path / "out")
    assert not (tmp_path / "out").exists()
