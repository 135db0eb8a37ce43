"""Make a trained model on a known encoder small enough to ship: what no other file can give back.

    python tools/ship_model.py exp/ko-whisper data/models/ko-whisper

Language model and decoding graph are left out (:mod:`asr.models` puts the shipped ones in on a
user's machine), and weights are packed (:mod:`asr.encoders.packed`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from asr.bundle import ACOUSTIC_FILE, TREE_FILE, open_bundle, write_bundle
from asr.encoders.known import KNOWN
from asr.encoders.packed import KIND, PACKED, own_blocks, pack
from asr.encoders.store import is_known
from asr.errors import AsrError, ModelError
from asr.graph_building import acoustic_terms, attributions

SECTIONS = ("decoder", "rescoring", "confidence", "reject")
"""Of a bundle, that --calibration replaces."""


def main() -> int:
    """Write the smaller bundle; the exit code."""
    parser = argparse.ArgumentParser(description="Make a model on a known encoder small.")
    parser.add_argument("model", type=Path, help="a model of `asr train --encoder`")
    parser.add_argument("out", type=Path, help="folder of the smaller one")
    parser.add_argument("--calibration", type=Path, nargs="+", default=[], metavar="FILE",
                        help="JSON of tools/bench/confidence.py and grammar.py, or by hand: the"
                        " model's own sections")
    args = parser.parse_args()
    try:
        ship(args.model, args.out, [json.loads(path.read_text()) for path in args.calibration])
    except (AsrError, OSError, ValueError) as error:
        print(f"ship_model: error: {error}", file=sys.stderr)
        return 1
    size = sum(file.stat().st_size for file in args.out.iterdir())
    print(f"{args.out}: {size / 1e6:.1f} MB")
    return 0


def ship(model: Path, out: Path, calibrations: Sequence[Mapping[str, Any]]) -> None:
    """Write to ``out`` what of ``model`` no other file can give back.

    Raises:
        ModelError: the model is not on a known encoder.
    """
    bundle = open_bundle(model)
    sections = bundle.manifest.sections
    reference = sections.get("features", {}).get("encoder", {})
    if not is_known(reference):
        raise ModelError(f"{model} is not on an encoder that every installation has")
    known = KNOWN[reference["name"]]
    licence, attribution = acoustic_terms(bundle.manifest)
    kept = {key: value for key, value in sections.items() if key != "lm"}
    for calibration in calibrations:
        kept |= {name: calibration[name] for name in SECTIONS if name in calibration}
    manifest = replace(
        bundle.manifest,
        licence=f"{licence} (upper layers and head), {known.licence} (encoder {known.name})",
        attribution=attributions(attribution, known.attribution),
        sections={**kept, "acoustic": {**sections["acoustic"], PACKED: KIND}},
    )
    weights = pack(bundle.tensors(ACOUSTIC_FILE), own_blocks(bundle))
    tree = {name: np.array(array) for name, array in bundle.tensors(TREE_FILE).items()}
    write_bundle(out, manifest, {ACOUSTIC_FILE: weights, TREE_FILE: tree})


if __name__ == "__main__":
    sys.exit(main())
