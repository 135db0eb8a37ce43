#!/usr/bin/env python3
"""Closed grammars on real speech: are words outside of the grammar rejected, those in it kept?

    python tools/bench/grammar.py --root ../shared/speech --split test
    python tools/bench/grammar.py --root ../shared/speech --split train dev --fit

Grammars are made of the transcripts of two corpora, half of each. For every grammar, recordings of
sentences that it holds (in) and of as many that it does not (out) are recognised. Conditions:

    plain   50 sentences; out: any others
    small   10 sentences
    large   300 sentences (as many as there are)
    slots   $head $tail: 30 beginnings, any of which may go with any of 30 ends
    halves  out: sentences of which the grammar holds one half, ended by another sentence's
    near    out: sentences that the grammar holds with one other eojeol of about the same length

Prints the equal error rate, false rejection (FRR) and false acceptance (FAR) at the shipped
threshold, and how many accepted phrases are the right ones. ``--fit`` calibrates RejectConfig
instead. ``--scores`` names a folder of acoustic scores, CORPUS/SPLIT/ID.npy, that saves computing
them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import asr  # noqa: E402
from asr.audio import load_audio  # noqa: E402
from asr.data import CORPUS_FOLDERS, load_split  # noqa: E402
from asr.decoder.closed import CLOSED_CONFIG  # noqa: E402
from asr.decoder.config import DecoderConfig  # noqa: E402
from asr.decoder.rescoring import text_of  # noqa: E402
from asr.decoder.search import Decoder  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.graph.grammar import Grammar, parse_grammar  # noqa: E402
from asr.graph.grammar_nodes import syllables_of  # noqa: E402
from asr.graph.grammar_reading import read_aloud  # noqa: E402
from asr.graph.grammar_reject import (  # noqa: E402
    FEATURES,
    PathScore,
    RejectConfig,
    grammar_confidence,
    reject_features,
)
from asr.lm.units import EOJEOL_MARK, Vocabulary  # noqa: E402

MOST_SYLLABLES = 60
NO_PATH = -1e9
Words = list[str]


@dataclass(frozen=True, slots=True)
class Recording:
    """An utterance and how it is spoken, in Hangul and spaces."""

    corpus: str
    split: str
    id: str
    audio: Path
    text: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One recording against one grammar."""

    condition: str
    corpus: str
    id: str
    inside: bool
    right: bool
    frames: int
    grammar: PathScore
    free: PathScore


@dataclass(frozen=True, slots=True)
class Task:
    """A grammar, sentences that it holds, and others."""

    grammar: str
    inside: Words
    outside: Words


def plain(texts: Words, rng: random.Random, size: int = 50) -> Task:
    """Any other sentences."""
    inside = texts[:size]
    return Task("\n".join(inside), inside[:50], texts[size : size + min(size, 50)])


def small(texts: Words, rng: random.Random) -> Task:
    """A small grammar."""
    return plain(texts, rng, 10)


def large(texts: Words, rng: random.Random) -> Task:
    """A large grammar."""
    return plain(texts, rng, min(300, len(texts) - 50))


def slots(texts: Words, rng: random.Random) -> Task:
    """Beginnings and ends, freely combined."""
    long = [text for text in texts if " " in text]
    heads, tails = zip(*(_halves(text) for text in long[:30]), strict=True)
    lines = [
        f"$head = {' | '.join(sorted(set(heads)))}",
        f"$tail = {' | '.join(sorted(set(tails)))}",
        "$head $tail",
    ]
    return Task("\n".join(lines), long[:30], long[30:60])


def halves(texts: Words, rng: random.Random) -> Task:
    """The grammar holds a half of each other sentence."""
    long = [text for text in texts if " " in text]
    inside, outside = long[:25], long[25:50]
    mixed = []
    for number, text in enumerate(outside):
        other = outside[(number + 1) % len(outside)]
        pair = (text, other) if number % 2 else (other, text)
        mixed.append(f"{_halves(pair[0])[0]} {_halves(pair[1])[1]}")
    return Task("\n".join(inside + mixed), inside, outside)


def near(texts: Words, rng: random.Random) -> Task:
    """The grammar holds each other sentence with one other eojeol."""
    long = [text for text in texts if " " in text]
    inside, outside = long[:25], long[25:50]
    eojeol = sorted({word for text in texts for word in text.split()})
    changed = []
    for text in outside:
        words = text.split()
        place = rng.randrange(len(words))
        alike = [w for w in eojeol if abs(len(w) - len(words[place])) <= 1 and w != words[place]]
        words[place] = rng.choice(alike)
        changed.append(" ".join(words))
    return Task("\n".join(inside + changed), inside, outside)


def _halves(text: str) -> tuple[str, str]:
    words = text.split()
    middle = len(words) // 2
    return " ".join(words[:middle]), " ".join(words[middle:])


CONDITIONS: dict[str, Callable[[Words, random.Random], Task]] = {
    task.__name__: task for task in (plain, small, large, slots, halves, near)
}


class Bench:
    """The model, the recordings by what they say, and the free paths found so far."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.model = asr.load(args.model)
        self.free_decoder: Decoder = self.model.decoder
        self.vocabulary: Vocabulary = self.free_decoder.lm.vocabulary
        self.score_folder: Path | None = args.scores
        self.recordings: dict[tuple[str, str], list[Recording]] = {}
        self.corpora: list[str] = args.corpora
        for corpus in self.corpora:
            for split in args.split:
                for utterance in load_split(args.root, corpus, split):
                    text = read_aloud(utterance.transcript)
                    if text and self._is_usable(text):
                        recording = Recording(corpus, split, utterance.id, utterance.audio, text)
                        self.recordings.setdefault((corpus, text), []).append(recording)
        self._free: dict[str, tuple[PathScore, int]] = {}

    def _is_usable(self, text: str) -> bool:
        spoken = syllables_of(text)
        return 3 <= len(spoken) <= MOST_SYLLABLES and all(
            s in self.vocabulary.ids and EOJEOL_MARK + s in self.vocabulary.ids for s in spoken
        )

    def run(self, condition: str, rng: random.Random) -> list[Trial]:
        """One random grammar of a condition, half of its sentences from each corpus."""
        corpus_of: dict[str, str] = {}
        by_corpus = []
        for corpus in self.corpora:
            texts = sorted(text for name, text in self.recordings if name == corpus)
            rng.shuffle(texts)
            by_corpus.append(texts)
            corpus_of |= dict.fromkeys(texts, corpus)
        texts = list(dict.fromkeys(t for pair in zip(*by_corpus, strict=False) for t in pair))
        task = CONDITIONS[condition](texts, rng)
        grammar = parse_grammar(task.grammar)
        compiled = grammar.compile(self.vocabulary)
        decoder = self.free_decoder.with_language(compiled.lm, compiled.table, compiled.row)
        trials = []
        for text in task.inside + task.outside:
            inside = grammar.parse(text) is not None
            if inside or text in task.outside:
                recording = rng.choice(self.recordings[corpus_of[text], text])
                trials.append(self._trial(condition, recording, inside, grammar, decoder))
        return trials

    def _trial(
        self, condition: str, recording: Recording, inside: bool, grammar: Grammar, decoder: Decoder
    ) -> Trial:
        scores = self._scores(recording)
        path = self._path(decoder, scores, CLOSED_CONFIG)
        match = grammar.parse(path.text)
        right = match is not None and syllables_of(match.spoken) == syllables_of(recording.text)
        if recording.id not in self._free:
            free = self._path(self.free_decoder, scores, self.model.decoder_config)
            self._free[recording.id] = free, len(scores)
        free, frames = self._free[recording.id]
        return Trial(condition, recording.corpus, recording.id, inside, right, frames, path, free)

    def _path(
        self, decoder: Decoder, scores: NDArray[np.float32], config: DecoderConfig
    ) -> PathScore:
        search = decoder.search(config)
        search.advance(scores)
        lattice = search.lattice()
        if lattice is None or not lattice.complete:
            return PathScore(NO_PATH, NO_PATH, "")
        (best,) = lattice.nbest(1)
        return PathScore(best.score, best.acoustic, text_of(best))

    def _scores(self, recording: Recording) -> NDArray[np.float32]:
        if self.score_folder is not None:
            path = self.score_folder / recording.corpus / recording.split / f"{recording.id}.npy"
            scores: NDArray[np.float32] = np.load(path)
            return scores
        samples = load_audio(recording.audio, self.model.sample_rate).samples
        return self.model.scorer.scores(samples)


def equal_error_rate(confidences: NDArray[np.float64], inside: NDArray[np.bool_]) -> float:
    """Where as many of the inside are rejected as of the outside accepted, linearly between."""
    order = np.argsort(confidences, kind="stable")
    kept = inside[order]
    rejected = np.concatenate([[0], np.cumsum(kept)]) / max(kept.sum(), 1)
    accepted = 1 - np.concatenate([[0], np.cumsum(~kept)]) / max((~kept).sum(), 1)
    place = int(np.argmin(np.abs(rejected - accepted)))
    return float(rejected[place] + accepted[place]) / 2


def report(trials: list[Trial], config: RejectConfig) -> dict[str, Any]:
    """Print a row for each condition and corpus; the same as JSON."""
    result: dict[str, Any] = {"config": asdict(config)}
    print(f"{'condition':<22}{'in':>6}{'out':>6}{'EER':>9}{'FRR':>9}{'FAR':>9}{'right':>9}")
    groups = {"all": trials}
    for name in CORPUS_FOLDERS:
        groups[name] = [t for t in trials if t.corpus == name]
    for name in CONDITIONS:
        groups[name] = [t for t in trials if t.condition == name]
        for corpus in CORPUS_FOLDERS:
            groups[f"{name} {corpus}"] = [t for t in groups[name] if t.corpus == corpus]
    for name, group in groups.items():
        inside = np.array([t.inside for t in group], bool)
        if not inside.any() or inside.all():
            continue
        values = np.array([grammar_confidence(t.grammar, t.free, t.frames, config) for t in group])
        accepted = values >= config.threshold
        right = np.array([t.right for t in group], bool)
        row = {
            "in": int(inside.sum()),
            "out": int((~inside).sum()),
            "eer": equal_error_rate(values, inside),
            "frr": float((inside & ~accepted).sum() / inside.sum()),
            "far": float((~inside & accepted).sum() / (~inside).sum()),
            "right": float(right[inside & accepted].mean()) if (inside & accepted).any() else 0.0,
        }
        result[name] = row
        rates = "".join(f"{row[key]:9.2%}" for key in ("eer", "frr", "far", "right"))
        print(f"{name:<22}{row['in']:>6}{row['out']:>6}{rates}")
    return result


def fit(trials: list[Trial], columns: tuple[int, ...], ridge: float = 1.0) -> RejectConfig:
    """Logistic regression by Newton's method, both classes of equal weight in each condition.

    The threshold is where, over all trials, both kinds of error are equally frequent.
    """
    usable = [t for t in trials if t.grammar.total > -1e4 and np.isfinite(t.free.total)]
    names = [(t.condition, t.inside) for t in usable]
    share = np.array([1.0 / names.count(name) for name in names])
    share *= len(share) / share.sum()
    inside = np.array([t.inside for t in usable], float)
    features = np.array([reject_features(t.grammar, t.free, t.frames) for t in usable])
    chosen = features[:, list(columns)]
    mean, spread = chosen.mean(0), chosen.std(0)
    design = np.column_stack([np.ones(len(chosen)), (chosen - mean) / spread])
    beta = np.zeros(design.shape[1])
    penalty = ridge * np.diag([0.0, *np.ones(len(columns))])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ beta))
        curve = design.T @ (design * (share * chance * (1 - chance))[:, None]) + penalty
        slope = design.T @ (share * (inside - chance)) - penalty @ beta
        beta += np.linalg.solve(curve, slope)
    weights = np.zeros(len(FEATURES))
    weights[list(columns)] = beta[1:] / spread
    intercept = float(beta[0] - (beta[1:] / spread) @ mean)
    config = RejectConfig(0.5, round(intercept, 3), tuple(round(float(w), 3) for w in weights))
    values = np.array([grammar_confidence(t.grammar, t.free, t.frames, config) for t in usable])
    grid = np.linspace(0.02, 0.98, 97)
    frr = np.array([(values[inside == 1] < cut).mean() for cut in grid])
    far = np.array([(values[inside == 0] >= cut).mean() for cut in grid])
    threshold = round(float(grid[np.argmin(np.abs(frr - far))]), 2)
    return RejectConfig(threshold, config.intercept, config.weights)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with splits.json")
    parser.add_argument("--split", nargs="+", choices=["train", "dev", "test"], required=True)
    parser.add_argument("--model", default="ko-kaldi", help="model name or bundle folder")
    parser.add_argument("--corpora", nargs="+", choices=[*CORPUS_FOLDERS],
                        default=[*CORPUS_FOLDERS], help="of which grammars and speech are")
    parser.add_argument("--grammars", type=int, default=2, help="random grammars a condition")
    parser.add_argument("--conditions", nargs="+", choices=list(CONDITIONS), default=[*CONDITIONS])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scores", type=Path, help="folder with acoustic scores, if at hand")
    parser.add_argument("--trials", type=Path, help="keep the recognised trials here; reuse them")
    parser.add_argument("--fit", action="store_true", help="calibrate RejectConfig")
    parser.add_argument("--calibration", type=Path, help="write what --fit found here, as JSON")
    parser.add_argument("--features", nargs="+", choices=FEATURES, default=[*FEATURES])
    parser.add_argument("--output", type=Path, help="write all figures here as JSON")
    return parser.parse_args()


def read_trials(path: Path) -> list[Trial]:
    """Read what an earlier run kept."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["grammar"], row["free"] = PathScore(**row["grammar"]), PathScore(**row["free"])
    return [Trial(**row) for row in rows]


def benchmark(args: argparse.Namespace) -> None:
    if args.trials and args.trials.exists():
        trials = read_trials(args.trials)
    else:
        bench = Bench(args)
        rng = random.Random(args.seed)
        trials, begin = [], time.monotonic()
        for number in range(args.grammars):
            for condition in args.conditions:
                trials += bench.run(condition, rng)
                print(f"{number + 1}/{args.grammars} {condition}: {len(trials)} trials, "
                      f"{time.monotonic() - begin:.0f} s", file=sys.stderr)  # fmt: skip
        if args.trials:
            lines = [json.dumps(asdict(trial), ensure_ascii=False) for trial in trials]
            args.trials.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = RejectConfig()
    if args.fit:
        config = fit(trials, tuple(FEATURES.index(name) for name in args.features))
        print(config)
        if args.calibration:
            text = json.dumps({"reject": asdict(config)}, indent=1)
            args.calibration.write_text(text + "\n", encoding="utf-8")
    recordings = len({trial.id for trial in trials})
    print(f"{' '.join(args.split)}: {len(trials)} trials of {recordings} recordings")
    figures = report(trials, config)
    if args.output:
        text = json.dumps(figures, ensure_ascii=False, indent=2)
        args.output.write_text(text + "\n", encoding="utf-8")


def main() -> int:
    try:
        benchmark(parse_arguments())
    except AsrError as error:
        print(f"grammar.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
