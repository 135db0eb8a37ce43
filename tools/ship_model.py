"""Make a trained model small enough to ship: what no other file can give back.

    python tools/ship_model.py exp/ko-whisper data/models/ko-whisper
    python tools/ship_model.py exp/ko-live data/models/ko-live --base ko-kaldi

Language model and decoding graph are left out (:mod:`asr.models` puts the shipped ones in on a
user's machine), and weights are packed (:mod:`asr.packed`).
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

from asr.bundle import (
    ACOUSTIC_FILE,
    IVECTOR_FILE,
    TREE_FILE,
    Bundle,
    open_bundle,
    write_bundle,
)
from asr.encoders.known import KNOWN
from asr.encoders.layouts import Arrays
from asr.encoders.store import is_known
from asr.errors import AsrError, ModelError
from asr.graph_building import acoustic_terms, attributions
from asr.models import resolve
from asr.packed import FROM_ENCODER, FROM_MODEL, PACKED, own_blocks, pack

SECTIONS = ("decoder", "rescoring", "confidence", "reject")
"""Of a bundle, that --calibration replaces."""


def main() -> int:
    """Write the smaller bundle; the exit code."""
    parser = argparse.ArgumentParser(description="Make a trained model small.")
    parser.add_argument("model", type=Path, help="a model of `asr train --encoder`")
    parser.add_argument("--base", help="the known model that its hidden layers and i-vector"
                        " extractor are from, where it is on no encoder")
    parser.add_argument("out", type=Path, help="folder of the smaller one")
    parser.add_argument("--calibration", type=Path, nargs="+", default=[], metavar="FILE",
                        help="JSON of tools/bench/confidence.py and grammar.py, or by hand: the"
                        " model's own sections")
    args = parser.parse_args()
    try:
        calibrations = [json.loads(path.read_text()) for path in args.calibration]
        ship(args.model, args.out, calibrations, args.base)
    except (AsrError, OSError, ValueError) as error:
        print(f"ship_model: error: {error}", file=sys.stderr)
        return 1
    size = sum(file.stat().st_size for file in args.out.iterdir())
    print(f"{args.out}: {size / 1e6:.1f} MB")
    return 0


def ship(
    model: Path, out: Path, calibrations: Sequence[Mapping[str, Any]], base: str | None = None
) -> None:
    """Write to ``out`` what of ``model`` no other file can give back.

    Raises:
        ModelError: the model is not on a known encoder, and not of its base.
    """
    bundle = open_bundle(model)
    if base is None:
        own, kind, (licence, attribution) = _of_encoder(bundle)
    else:
        own, kind, (licence, attribution) = _of_base(bundle, open_bundle(resolve(base)))
    sections = bundle.manifest.sections
    kept = {key: value for key, value in sections.items() if key != "lm"}
    for calibration in calibrations:
        kept |= {name: calibration[name] for name in SECTIONS if name in calibration}
    manifest = replace(
        bundle.manifest, licence=licence, attribution=attribution,
        sections={**kept, "acoustic": {**sections["acoustic"], PACKED: kind}},
    )  # fmt: skip
    weights = pack(bundle.tensors(ACOUSTIC_FILE), own)
    tree = {name: np.array(array) for name, array in bundle.tensors(TREE_FILE).items()}
    write_bundle(out, manifest, {ACOUSTIC_FILE: weights, TREE_FILE: tree})


def _of_encoder(bundle: Bundle) -> tuple[Arrays, str, tuple[str, str]]:
    """The weights that a model on a known encoder began with, how it is packed, and its terms."""
    reference = bundle.manifest.sections.get("features", {}).get("encoder", {})
    if not is_known(reference):
        raise ModelError(f"{bundle.path} is not on an encoder that every installation has")
    known = KNOWN[reference["name"]]
    licence, attribution = acoustic_terms(bundle.manifest)
    return own_blocks(bundle), FROM_ENCODER, (
        f"{licence} (upper layers and head), {known.licence} (encoder {known.name})",
        attributions(attribution, known.attribution),
    )  # fmt: skip


def _of_base(bundle: Bundle, base: Bundle) -> tuple[Arrays, str, tuple[str, str]]:
    """The same of a model that began with the hidden layers of another."""
    if "ivector" in bundle.manifest.sections:
        theirs, own = base.tensors(IVECTOR_FILE), bundle.tensors(IVECTOR_FILE)
        if theirs.keys() != own.keys() or any((theirs[key] != own[key]).any() for key in own):
            raise ModelError(f"{bundle.path} has other i-vectors than {base.manifest.name}")
    return base.tensors(ACOUSTIC_FILE), FROM_MODEL, acoustic_terms(bundle.manifest)


if __name__ == "__main__":
    sys.exit(main())
