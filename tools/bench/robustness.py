#!/usr/bin/env python3
"""How far rooms, noise and telephones hurt a model, and Whisper beside it on the same files.

    python tools/bench/robustness.py --corpus emotiontts --split dev --root ../shared/speech

Conditions, each drawn once an utterance from a fixed seed: ``room`` (simulated by the image-source
method, sides of 3 to 10 m, dying away within 0.15 to 0.6 s, 0.5 to 4 m off), ``noise`` (coloured
from white to brown) and ``babble`` (3 to 7 other speakers of the corpus's train split), both 10 dB
below the speech, ``telephone`` (8 kHz, 300 to 3400 Hz, mu-law), ``clean``. Scored as
tools/bench/accuracy.py does: spoken form, CER without spaces; Whisper's digits and Latin letters
are read out. No model here was trained on any of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import accuracy  # sets one thread before torch is imported
import numpy as np
import soundfile

from asr import load_audio
from asr.audio import SAMPLE_RATE
from asr.data import CORPUS_FOLDERS, Utterance, load_split
from asr.data.augment import AddNoise, Augmentation, Babble, Telephone
from asr.data.rooms import Reverberate
from asr.errors import AsrError
from asr.score import score

SNR = (10.0, 10.0)
VOICES = 100
"""Utterances of other speakers that babble is made of."""
CONDITIONS = ("clean", "room", "noise", "babble", "telephone")


def augmentation(name: str, root: Path, corpus: str) -> Augmentation:
    """What a condition does to sound."""
    if name == "room":
        return Reverberate()
    if name == "noise":
        return AddNoise(snr=SNR)
    if name == "telephone":
        return Telephone()
    others = load_split(root, corpus, "train")
    chosen = others[:: max(1, len(others) // VOICES)]
    return Babble([load_audio(one.audio, SAMPLE_RATE).samples for one in chosen], snr=SNR)


def degraded(
    utterances: list[Utterance], change: Augmentation, folder: Path
) -> list[Utterance]:
    """The utterances with files of changed sound."""
    changed = []
    for utterance in utterances:
        samples = load_audio(utterance.audio, SAMPLE_RATE).samples
        rng = np.random.Generator(np.random.PCG64(crc32(utterance.id.encode())))
        sound = change(samples, rng)
        sound = sound / max(1.0, float(np.abs(sound).max()))
        path = folder / f"{utterance.id}.wav"
        soundfile.write(path, sound, SAMPLE_RATE, subtype="PCM_16")
        changed.append(replace(utterance, audio=path))
    return changed


def rates(run: accuracy.Run, refs: Mapping[str, str]) -> dict[str, float]:
    """CER without spaces and eojeol WER."""
    report = score(list(refs.values()), [run[name].text for name in refs])
    return {"cer": report.cer.rate, "wer": report.wer.rate}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Error rates in rooms, noise and on telephones.")
    parser.add_argument("--corpus", choices=sorted(CORPUS_FOLDERS), default="emotiontts")
    parser.add_argument("--split", choices=["train", "dev", "test"], required=True)
    parser.add_argument("--root", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--models", nargs="+", default=["ko"], help="names or bundles' folders")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=[*CONDITIONS])
    parser.add_argument("--no-whisper", action="store_true", help="leave Whisper out")
    parser.add_argument("--limit", type=int, help="only the first N utterances")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    try:
        utterances = load_split(args.root, args.corpus, args.split)[: args.limit]
        refs = accuracy.references(utterances, args.corpus)
        systems = [*args.models, *([] if args.no_whisper else ["Whisper base"])]
        print(f"{args.corpus} {args.split}, {len(utterances)} utterances; CER / eojeol WER\n"
              f"| condition | {' | '.join(systems)} |\n|---|{'---|' * len(systems)}")
        rows = {}
        for condition in args.conditions:
            with tempfile.TemporaryDirectory() as folder:
                heard = utterances
                if condition != "clean":
                    change = augmentation(condition, args.root, args.corpus)
                    heard = degraded(utterances, change, Path(folder))
                row = {
                    name: rates(accuracy.run_malsori(heard, name), refs) for name in args.models
                }
                if not args.no_whisper:
                    read = accuracy.read_out(accuracy.run_peer("whisper", heard, None))
                    row["Whisper base"] = rates(read, refs)
            rows[condition] = row
            cells = " | ".join(f"{row[s]['cer']:.2%} / {row[s]['wer']:.2%}" for s in systems)
            print(f"| {condition} | {cells} |", flush=True)
    except AsrError as error:
        print(f"robustness: error: {error}", file=sys.stderr)
        return 1
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
