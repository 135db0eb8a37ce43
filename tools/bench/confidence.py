#!/usr/bin/env python3
"""How well confidences tell right eojeol from wrong ones, and their calibration.

    python tools/bench/confidence.py --root ../shared/speech --corpus pansori --split dev
    python tools/bench/confidence.py --root ../shared/speech --corpus pansori --split train --fit

Prints the normalised cross entropy (NCE: 1 is perfect, 0 is as good as always telling the share
of right ones) and the expected calibration error over ten equally filled bins (ECE). An eojeol is
right where the alignment with the reference (spoken form, jiwer) finds it equal. --fit chooses the
weights of ConfidenceConfig by logistic regression; never on speech that the model was trained on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
from accuracy import references  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import asr  # noqa: E402
from asr.data import CORPUS_FOLDERS, load_split  # noqa: E402
from asr.decoder.confidence import ConfidenceConfig, eojeols_of, evidence  # noqa: E402
from asr.decoder.rescoring import Rescorer, text_of  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.listening import listening  # noqa: E402
from asr.lm.morphology import MorphemeModel  # noqa: E402

BINS = 10


def collect(
    args: argparse.Namespace,
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
    """Evidence [N, 2] and whether right [N] of every eojeol; and the model's calibration."""
    import torch

    torch.set_num_threads(1)
    model = asr.load(args.model)
    utterances = load_split(args.root, args.corpus, args.split)
    utterances = utterances[:: args.every]
    refs = references(utterances, args.corpus)
    config = model._recognizer.confidence
    rescoring = model.rescoring
    rescorer = None
    if rescoring is not None:
        morphemes = MorphemeModel()
        rescorer = Rescorer(rescoring, lambda: morphemes, str)
    features, right = [], []
    for utterance in utterances:
        samples = asr.load_audio(utterance.audio, model.sample_rate).samples
        search = model.decoder.search(model.decoder_config)
        scores, feats = model.scorer.scores_and_features(samples)
        search.advance(scores)
        lattice = search.lattice()
        if lattice is None:
            continue
        hypotheses = lattice.nbest(config.count if rescoring is None else rescoring.count)
        if rescorer is not None:
            listen = listening(model.scorer, samples, feats)
            hypotheses = rescorer.rescored(hypotheses, listen)
        groups = eojeols_of(hypotheses[0].units)
        if not groups:
            continue
        features.append(evidence(groups, hypotheses, lattice, config.scale))
        right.append(_right(refs[utterance.id], text_of(hypotheses[0])))
    return np.concatenate(features), np.concatenate(right), asdict(config)


def _right(reference: str, heard: str) -> NDArray[np.float64]:
    """Of each eojeol that was heard, 1 where the reference has it."""
    import jiwer

    words = heard.split()
    found = np.zeros(len(words))
    if reference:
        for chunk in jiwer.process_words(reference, heard).alignments[0]:
            if chunk.type == "equal":
                found[chunk.hyp_start_idx : chunk.hyp_end_idx] = 1.0
    return found


def fit(features: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, float, float]:
    """Logistic regression by Newton's method: bias, and weights of lattice and N best."""
    design = np.column_stack([np.ones(len(features)), features])
    weights = np.zeros(3)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ weights))
        curve = design.T @ (design * (chance * (1 - chance))[:, None]) + 1e-6 * np.eye(3)
        weights += np.linalg.solve(curve, design.T @ (right - chance))
    bias, lattice, nbest = (round(float(value), 3) for value in weights)
    return bias, lattice, nbest


def report(sure: NDArray[np.float64], right: NDArray[np.float64]) -> dict[str, float]:
    """NCE and ECE of probabilities."""
    share = right.mean()
    clipped = np.clip(sure, 1e-6, 1 - 1e-6)
    own = -(right * np.log(clipped) + (1 - right) * np.log(1 - clipped)).mean()
    always = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    order = np.array_split(np.argsort(sure), BINS)
    gaps = [abs(sure[part].mean() - right[part].mean()) * len(part) for part in order]
    return {"eojeol": len(right), "right": float(share), "nce": float(1 - own / always),
            "ece": float(sum(gaps) / len(right))}  # fmt: skip


def main() -> int:
    """Measure or fit, and print."""
    parser = argparse.ArgumentParser(description="Calibration of confidences.")
    parser.add_argument("--root", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--corpus", choices=[*CORPUS_FOLDERS], required=True)
    parser.add_argument("--split", choices=["train", "dev", "test"], required=True)
    parser.add_argument("--model", default="ko")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each Nth utterance only")
    parser.add_argument("--fit", action="store_true", help="choose the weights on this speech")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the calibration here")
    args = parser.parse_args()
    try:
        features, right, described = collect(args)
    except AsrError as error:
        print(f"confidence: error: {error}", file=sys.stderr)
        return 1
    config = ConfidenceConfig(**described)
    if args.fit:
        bias, lattice, nbest = fit(features, right)
        config = replace(config, bias=bias, lattice=lattice, nbest=nbest)
        print(config)
    logits = config.bias + features @ np.array([config.lattice, config.nbest])
    figures = report(1 / (1 + np.exp(-logits)), right)
    print(f"{args.corpus} {args.split}: {figures['eojeol']} eojeol, {figures['right']:.1%} right;"
          f" NCE {figures['nce']:.3f}, ECE {figures['ece']:.3f}")
    if args.json:
        text = json.dumps({"confidence": asdict(config), "figures": figures}, indent=1)
        args.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
