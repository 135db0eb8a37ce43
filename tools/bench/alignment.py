#!/usr/bin/env python3
"""What forced alignment is worth, without times that anybody marked by hand.

    python tools/bench/alignment.py --root ../shared/speech --split train dev

For each corpus: scores of right texts, of wrong ones (the text of another utterance that shares no
eojeol and has about the same length) and of eojeol that were put in place of others, with the share
that is flagged; how far the times of what the recogniser heard are from its own; how far times move
when two utterances are joined by half a second of silence; and the speed, on one thread.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # read when torch, numba and the BLAS are first imported

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from asr.align_text import WrittenWord, written_words  # noqa: E402
from asr.aligning import AligningConfig, TextAligner, load_aligner  # noqa: E402
from asr.alignment import Alignment  # noqa: E402
from asr.audio import load_audio  # noqa: E402
from asr.data import CORPUS_FOLDERS, load_split  # noqa: E402
from asr.errors import DataError  # noqa: E402
from asr.recognizer import Model, load  # noqa: E402

PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Case:
    """An utterance, ready to be aligned."""

    words: list[WrittenWord]
    samples: NDArray[np.float32]
    scores: NDArray[np.float32]
    seconds: float

    @property
    def length(self) -> int:
        return sum(len(spoken) for word in self.words for spoken in word.spoken)


@dataclass
class Measured:
    """Scores in nats a frame, differences in seconds."""

    right: list[float] = field(default_factory=list)
    wrong: list[float] = field(default_factory=list)
    right_words: list[float] = field(default_factory=list)
    replaced_words: list[float] = field(default_factory=list)
    from_recogniser: list[float] = field(default_factory=list)
    from_joining: list[float] = field(default_factory=list)
    too_long: int = 0
    sound: float = 0.0
    spent: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with splits.json")
    parser.add_argument("--split", nargs="+", default=["train", "dev"])
    parser.add_argument("--corpus", nargs="+", default=list(CORPUS_FOLDERS))
    parser.add_argument("--utterances", type=int, default=150, help="of each corpus (default: 150)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    aligner, model = load_aligner("ko-kaldi"), load("ko-kaldi")
    for corpus in args.corpus:
        rng = random.Random(args.seed)
        found = [one for split in args.split for one in load_split(args.root, corpus, split)]
        rng.shuffle(found)
        cases = list(prepare(aligner, found, args.utterances))
        measured = Measured()
        measure_texts(aligner, cases, measured, rng)
        measure_recogniser(aligner, model, cases, measured)
        measure_joining(aligner, cases, measured)
        show(corpus, args.split, measured)


def prepare(aligner: TextAligner, utterances: Sequence, most: int) -> Iterator[Case]:
    made = 0
    for one in utterances:
        if made == most:
            return
        try:
            words = written_words(one.transcript)
        except DataError:
            continue
        samples = load_audio(one.audio, aligner.sample_rate).samples
        seconds = len(samples) / aligner.sample_rate
        yield Case(words, samples, aligner.scores(samples), seconds)
        made += 1


def measure_texts(
    aligner: TextAligner, cases: Sequence[Case], measured: Measured, rng: random.Random
) -> None:
    def aligned(case: Case, words: Sequence[WrittenWord]) -> Alignment | None:
        try:
            return aligner.align_scores(case.scores, words, case.seconds)
        except DataError:  # more sounds than frames
            measured.too_long += 1
            return None

    aligned(cases[0], cases[0].words)  # compile
    everything = [word for case in cases for word in case.words]
    for case in cases:
        begun = time.perf_counter()
        right = aligned(case, case.words)
        measured.spent += time.perf_counter() - begun
        measured.sound += case.seconds
        if right is None:
            continue
        measured.right.append(right.score)
        measured.right_words += [word.score for word in right.words]
        said = {word.spoken for word in case.words}
        others = [other for other in cases if said.isdisjoint(w.spoken for w in other.words)]
        other = min(others, key=lambda one: (abs(one.length - case.length), rng.random()))
        if wrong := aligned(case, other.words):
            measured.wrong.append(wrong.score)
        place = rng.randrange(len(case.words))
        old = case.words[place]
        same_length = [
            w
            for w in everything
            if len("".join(w.spoken)) == len("".join(old.spoken)) and w.spoken != old.spoken
        ]
        if same_length:
            words = [*case.words[:place], rng.choice(same_length), *case.words[place + 1 :]]
            if replaced := aligned(case, words):
                measured.replaced_words.append(replaced.words[place].score)


def measure_recogniser(
    aligner: TextAligner, model: Model, cases: Sequence[Case], measured: Measured
) -> None:
    """Times of eojeol that both have, where the recogniser heard an utterance's every syllable."""
    for case in cases:
        heard = model.transcribe(case.samples, sample_rate=aligner.sample_rate).words
        if not heard:
            continue
        words = [WrittenWord(word.text, (word.text,)) for word in heard]
        try:
            aligned = aligner.align_scores(case.scores, words, case.seconds).words
        except DataError:
            continue
        for one, other in zip(heard, aligned, strict=True):
            measured.from_recogniser += [abs(one.start - other.start), abs(one.end - other.end)]


def measure_joining(aligner: TextAligner, cases: Sequence[Case], measured: Measured) -> None:
    pause = np.zeros(round(PAUSE_SECONDS * aligner.sample_rate), np.float32)
    for first, second in zip(cases[::2], cases[1::2], strict=False):
        alone = [aligner.align_scores(c.scores, c.words, c.seconds) for c in (first, second)]
        joined = aligner.align_words(
            np.concatenate([first.samples, pause, second.samples]), [*first.words, *second.words]
        )
        offsets = [0.0] * len(first.words) + [first.seconds + PAUSE_SECONDS] * len(second.words)
        both = [*alone[0].words, *alone[1].words]
        for word, one, offset in zip(joined.words, both, offsets, strict=True):
            measured.from_joining += [
                abs(word.start - one.start - offset), abs(word.end - one.end - offset)
            ]  # fmt: skip


def show(corpus: str, splits: Sequence[str], measured: Measured) -> None:
    config = AligningConfig()
    print(f"{corpus} {'+'.join(splits)}: {len(measured.right)} utterances")
    for name, values, threshold in (
        ("right texts", measured.right, config.threshold),
        ("wrong texts", measured.wrong, config.threshold),
        ("right eojeol", measured.right_words, config.word_threshold),
        ("replaced eojeol", measured.replaced_words, config.word_threshold),
    ):
        parts = " ".join(f"{value:6.2f}" for value in np.percentile(values, [1, 5, 50, 95, 99]))
        flagged = np.mean(np.array(values) < threshold)
        print(f"  {name:16} 1 5 50 95 99 %: {parts}   flagged {flagged:6.1%} of {len(values)}")
    print(f"  texts refused as too long for the sound: {measured.too_long}")
    for name, values in (
        ("against the recogniser's times", measured.from_recogniser),
        ("joined against alone", measured.from_joining),
    ):
        times = np.array(values)
        print(
            f"  {name}: median {np.median(times):.3f} s, same {np.mean(times < 2e-3):.1%}, "
            f"within 30 ms {np.mean(times < 0.0305):.1%}, 60 ms {np.mean(times < 0.0605):.1%} "
            f"of {len(times)} eojeol edges"
        )
    print(
        f"  aligning takes {measured.spent / measured.sound:.5f} of real time (without the network)"
    )


if __name__ == "__main__":
    main()
