#!/usr/bin/env python3
"""What live recognition makes of short noises between utterances.

    python tools/bench/live_noise.py --root ../shared/speech --model ko-kaldi

Utterances of a corpus stand one after another with pauses, in each of which a noise bangs,
clatters or hisses (made up here by a fixed seed): as loud as the speech, 0.1 to 0.9 s long. Told
for each kind of noise, and for none: *false words*, those whose middle lies in a pause (0.15 s from
speech, at least), a hundred pauses; *lost*, utterances of which nothing was heard; CER of the words
within utterances; CER of the whole text.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
from accuracy import references  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import asr  # noqa: E402
from asr.data import CORPUS_FOLDERS, load_split  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.features.loudness import speech_power  # noqa: E402
from asr.live import LiveConfig  # noqa: E402
from asr.result import Word  # noqa: E402
from asr.score import score  # noqa: E402

RATE = 16_000
PAUSES = (1.0, 1.4, 2.0)
"""Seconds between utterances, in turn."""
SECONDS = (0.1, 0.9)
KINDS = ("none", "hiss", "rumble", "knock", "clatter")
NEAR = 0.15
BLOCK = RATE // 10
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scene:
    """Sound, and where in it the utterances are, in seconds."""

    samples: Samples
    spans: tuple[tuple[float, float], ...]


def noise(kind: str, size: int, chance: np.random.Generator) -> Samples:
    """A noise of so many samples, of root mean square 1."""
    made = chance.normal(0.0, 1.0, size)
    if kind == "rumble":  # more of the low frequencies
        shaped = np.fft.rfft(made)
        shaped /= np.maximum(1.0, np.arange(len(shaped)) / max(1, size // 200))
        made = np.fft.irfft(shaped, size)
    elif kind == "knock":  # a few blows that die away
        made = made * sum(_blow(size, place) for place in chance.integers(0, size, 3))
    elif kind == "clatter":  # a resonance that is struck again and again
        times = np.arange(size) / RATE
        struck = sum(_blow(size, place) for place in chance.integers(0, size, 8))
        made = struck * np.sin(2 * np.pi * chance.uniform(900, 3000) * times)
    return np.asarray(made / (np.sqrt(np.mean(made**2)) + 1e-9), np.float32)


def _blow(size: int, place: int) -> NDArray[np.float64]:
    after = np.arange(size) - place
    return np.where(after >= 0, np.exp(-np.maximum(after, 0) / (0.03 * RATE)), 0.0)


def scene(sounds: Sequence[Samples], kind: str, decibels: float, seed: int = 7) -> Scene:
    """The utterances with a noise in each pause, so much louder than the speech before it."""
    chance = np.random.default_rng(seed)
    pieces, spans, now = [], [], 0
    for number, sound in enumerate(sounds):
        spans.append((now / RATE, (now + len(sound)) / RATE))
        pause = chance.normal(0, 2e-4, round(PAUSES[number % len(PAUSES)] * RATE))
        size = min(round(chance.uniform(*SECONDS) * RATE), len(pause) - RATE // 2)
        begin = int(chance.integers(RATE // 4, len(pause) - size - RATE // 4 + 1))
        if kind != "none":
            powers = np.mean(sound[: len(sound) // 400 * 400].reshape(-1, 400) ** 2, axis=1)
            level = np.sqrt(speech_power(powers.astype(np.float64))) * 10 ** (decibels / 20)
            pause[begin : begin + size] += level * noise(kind, size, chance)
        pieces += [sound, np.clip(pause, -1, 1).astype(np.float32)]
        now += len(sound) + len(pause)
    return Scene(np.concatenate(pieces), tuple(spans))


def heard(model: asr.Model, samples: Samples, live: LiveConfig | None) -> tuple[Word, ...]:
    """The final words of the sound, live or as a file."""
    if live is None:
        return model.transcribe(samples, sample_rate=RATE).words
    stream = model.stream(live=live)
    for begin in range(0, len(samples), BLOCK):
        stream.accept(samples[begin : begin + BLOCK])
    return stream.finish().words


def row(words: Sequence[Word], made: Scene, refs: Sequence[str]) -> str:
    """What is told of one scene."""
    texts: list[list[str]] = [[] for _ in made.spans]
    false = []
    for word in words:
        middle = (word.start + word.end) / 2
        for place, (start, end) in enumerate(made.spans):
            if start - NEAR <= middle <= end + NEAR:
                texts[place].append(word.text)
                break
        else:
            false.append(word.text)
    within = score(list(refs), [" ".join(text) for text in texts]).cer.rate
    whole = score([" ".join(refs)], [" ".join(word.text for word in words)]).cer.rate
    lost = sum(not text for text in texts)
    share = 100 * len(false) / len(texts)
    return f"{share:.0f} | {lost} | {within:.2%} | {whole:.2%} | {' '.join(false)[:60]} |"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", choices=[*CORPUS_FOLDERS], default="emotiontts")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--root", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--model", default="ko")
    parser.add_argument("--utterances", type=int, help="only the first N")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=[*KINDS])
    parser.add_argument("--decibels", type=float, default=0.0, help="above the speech")
    parser.add_argument("--pad", type=float, default=LiveConfig().pad,
                        help="seconds beside speech whose noises stay; many: all stay")
    parser.add_argument("--whole", action="store_true", help="also as a file, all at once")
    args = parser.parse_args()
    try:
        utterances = load_split(args.root, args.corpus, args.split)[: args.utterances]
        model = asr.load(args.model)
    except AsrError as error:
        print(f"live_noise: error: {error}", file=sys.stderr)
        return 1
    refs = list(references(utterances, args.corpus).values())
    sounds = [asr.load_audio(one.audio, RATE).samples for one in utterances]
    print(f"{args.model}, {args.corpus} {args.split}, {len(sounds)} utterances;"
          f" noises of {args.decibels:+g} dB\n"
          "| noise | how | false words a 100 pauses | lost | CER within | CER whole | which |\n"
          "|---|---|---|---|---|---|---|", flush=True)  # fmt: skip
    for kind in args.kinds:
        made = scene(sounds, kind, args.decibels)
        config = LiveConfig(pad=args.pad)
        for live in (config, None) if args.whole else (config,):
            words = heard(model, made.samples, live)
            print(f"| {kind} | {'live' if live else 'file'} | {row(words, made, refs)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
