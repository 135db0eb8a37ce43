#!/usr/bin/env python3
"""Fit asr/search/data/calibration.tsv: how often first hits are right that evidence calls so sure.

    python tools/train_search_calibration.py --root ../shared/speech \
        --names ../shared/text/entities.tsv.xz

Queries: the utterances of `train` and `dev` in which names are said (as in tools/bench/search.py),
and typed ones with a half and all of the errors that the recogniser made in these; some of the
typed ones mean a name that is taken out of what was found, so that no hit is right. A logistic
curve in the log-odds is fitted, which is monotone, and written down at some points.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "bench")]

import numpy as np  # noqa: E402
from search_queries import CARRIERS, NamesSaid, Noise, read_names  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

from asr.data.corpora import CORPUS_FOLDERS, load_split  # noqa: E402
from asr.hangul.normalize import scoring_text, to_spoken  # noqa: E402
from asr.recognizer import load  # noqa: E402
from asr.search import Index, Searcher, VoiceConfig  # noqa: E402
from asr.search.hypotheses import hypotheses  # noqa: E402
from asr.search.retrieval import Query, probabilities  # noqa: E402

OUTPUT = ROOT / "asr" / "search" / "data" / "calibration.tsv"
POINTS = (0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
SPOKEN, TYPED, ABSENT = 1.0, 0.15, 0.4
"""Weights of a query: spoken ones are few, and what the map is for."""
HEADER = """\
# What evidence alone says of the first hit, and how often it is right: logistic in the log-odds,
# made by tools/train_search_calibration.py from `train` and `dev` queries and typed ones.
"""


class Judged(NamedTuple):
    """What evidence said of the first hit, whether it was right, and the query's weight."""

    told: float
    right: bool
    weight: float


def first_hit(searcher: Searcher, query: Query, wanted: list[str], absent: bool) -> Judged | None:
    """The first hit of a query; ``absent``: as if the wanted names were not listed."""
    found = searcher.find(hypotheses(query))
    names = [searcher.index.entry(one.entry).name for one in found]
    kept = [n for n, name in enumerate(names) if not (absent and name in wanted)]
    if not kept:
        return None
    shares = probabilities(np.array([found[n].evidence for n in kept]), searcher.config)
    return Judged(float(shares[0]), names[kept[0]] in wanted, 0.0)


def spoken(args: argparse.Namespace, searcher: Searcher, noise: Noise) -> Iterator[Judged]:
    """Queries of the corpora; their errors are counted."""
    said, model = NamesSaid(read_names(args.names)), load(args.model)
    for corpus in sorted(CORPUS_FOLDERS):
        for split in args.split:
            for one in load_split(args.root, corpus, split):
                reference = scoring_text(to_spoken(one.transcript))
                if not (wanted := said.of(reference)):
                    continue
                result = model.transcribe(one.audio, nbest=VoiceConfig().nbest)
                noise.count(reference, result.text)
                for segment in result.segments:
                    texts = [(other.text, other.confidence) for other in segment.alternatives]
                    if hit := first_hit(searcher, texts or segment.text, wanted, absent=False):
                        yield hit._replace(weight=SPOKEN)


def typed(args: argparse.Namespace, searcher: Searcher, noise: Noise) -> Iterator[Judged]:
    """Names in carrier phrases with errors, listed and not."""
    rng = random.Random(args.seed)
    names = [name for name in read_names(args.names) if len(name) > 1]
    for absent, scale in ((False, 0.5), (False, 1.0), (True, 0.5)):
        for name in rng.choices(names, k=args.typed):
            text = noise.applied(rng.choice(CARRIERS).format(name), rng, scale)
            if hit := first_hit(searcher, text, [name], absent):
                yield hit._replace(weight=ABSENT / 2 if absent else TYPED)


def fit(queries: list[Judged]) -> list[tuple[float, float]]:
    """Points of the map, with its ends."""
    told = np.clip([one.told for one in queries], 1e-6, 1 - 1e-6)
    odds = np.log(told / (1 - told))[:, None]
    curve = LogisticRegression(C=np.inf)
    curve.fit(odds, [one.right for one in queries], [one.weight for one in queries])
    points = np.array(POINTS)
    right = curve.predict_proba(np.log(points / (1 - points))[:, None])[:, 1]
    return [(0.0, 0.0), *zip(POINTS, map(float, right), strict=True), (1.0, 1.0)]


def main() -> int:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with splits.json")
    parser.add_argument("--names", type=Path, required=True, help="table of kind, TAB, name (.xz)")
    parser.add_argument("--split", nargs="+", choices=["train", "dev"], default=["dev", "train"])
    parser.add_argument("--model", default="ko-kaldi")
    parser.add_argument("--typed", type=int, default=300)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args()
    searcher = Searcher(Index.build(read_names(args.names), skip_unreadable=True))
    noise = Noise()
    queries = [*spoken(args, searcher, noise), *typed(args, searcher, noise)]
    rows = "".join(f"{told:g}\t{right:.3g}\n" for told, right in fit(queries))
    args.output.write_text(HEADER + rows, encoding="utf-8")
    print(f"{len(queries)} queries")
    return 0


if __name__ == "__main__":
    sys.exit(main())
