"""Make a trained model on a known encoder small enough to ship: what no other file can give back.

    python tools/ship_model.py exp/ko-whisper data/models/ko-whisper

Language model and decoding graph are left out (:mod:`asr.models` puts the shipped ones in on a
user's machine), and weights are kept as float16.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from asr.bundle import ACOUSTIC_FILE, TREE_FILE, open_bundle, write_bundle
from asr.encoders.known import KNOWN
from asr.encoders.store import is_known
from asr.errors import ModelError
from asr.graph_building import acoustic_terms, attributions


def main() -> None:
    """Write the smaller bundle."""
    parser = argparse.ArgumentParser(description="Make a model on a known encoder small.")
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    bundle = open_bundle(args.model)
    sections = bundle.manifest.sections
    reference = sections["features"].get("encoder", {})
    if not is_known(reference):
        raise ModelError(f"{args.model} is not on an encoder that every installation has")
    known = KNOWN[reference["name"]]
    licence, attribution = acoustic_terms(bundle.manifest)
    manifest = replace(
        bundle.manifest,
        licence=f"{licence} (upper layers and head), {known.licence} (encoder {known.name})",
        attribution=attributions(attribution, known.attribution),
        sections={key: value for key, value in sections.items() if key != "lm"},
    )
    weights = {name: _half(array) for name, array in bundle.tensors(ACOUSTIC_FILE).items()}
    tree = {name: np.array(array) for name, array in bundle.tensors(TREE_FILE).items()}
    write_bundle(args.out, manifest, {ACOUSTIC_FILE: weights, TREE_FILE: tree})
    size = sum(file.stat().st_size for file in args.out.iterdir())
    print(f"{args.out}: {size / 1e6:.1f} MB")


def _half(array: np.ndarray) -> np.ndarray:
    """float16 of float32; integers stay."""
    if array.dtype != np.float32:
        return np.array(array)
    half = array.astype(np.float16)
    if not np.isfinite(half).all():
        raise ModelError("a weight is beyond float16")
    return half


if __name__ == "__main__":
    main()
