#!/usr/bin/env python3
"""Voice search: what is found among 90,000 names, and what a million cost.

    python tools/bench/search.py --root ../shared/speech --names ../shared/text/entities.tsv.xz \\
        --split test
    python tools/bench/search.py --names ../shared/text/entities.tsv.xz --scale 1000000

Real speech: every utterance of the split in which a proper name of the list is said (by Kiwi's
analysis of the reference) is a query, and the names said in it are the right answers; the
catalogue is the whole list. Compared are a lookup of names that stand letter by letter in the best
text, the search over the best text, over the N best, and with a second pass of the recogniser.
Typed queries: names in carrier phrases, with errors drawn from those that the recogniser made in
the real speech; with ``--texts``, sentences of these texts in which names of the list are said,
with the same errors. Times are processor time of one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # read when torch, numba and the BLAS are first imported

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from search_queries import (  # noqa: E402
    CARRIERS,
    NamesSaid,
    Noise,
    combined,
    looked_up,
    read_names,
    recall,
)

from asr.data import CORPUS_FOLDERS, load_split  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.hangul.normalize import scoring_text, to_spoken  # noqa: E402
from asr.lm.text_files import read_lines  # noqa: E402
from asr.recognizer import load  # noqa: E402
from asr.result import Result  # noqa: E402
from asr.search import Index, Searcher, VoiceConfig, VoiceSearch  # noqa: E402
from asr.search.calibration import knots  # noqa: E402
from asr.search.result import SearchResult  # noqa: E402

RANKS = (1, 5, 10)
Ranked = list[list[str]]
Search = Callable[[Any], list[str]]


class Table:
    """Rows of recall, printed as they come."""

    def __init__(self, title: str, targets: Sequence[Sequence[str]]) -> None:
        self.targets = targets
        self.rows: list[dict[str, Any]] = []
        print(f"\n{title}: {len(targets)} queries, {sum(map(len, targets))} names", flush=True)
        print(f"{'':<34}" + "".join(f"{f'@{k}':>8}" for k in RANKS) + f"{'ms':>8}")

    def add(self, name: str, ranked: Ranked, seconds: float) -> None:
        found = [recall(self.targets, ranked, k) for k in RANKS]
        milliseconds = 1000 * seconds / max(1, len(ranked))
        self.rows.append({"name": name, "recall": found, "ms": milliseconds})
        shares = "".join(f"{share:>8.1%}" for share in found)
        print(f"{name:<34}{shares}{milliseconds:>8.1f}", flush=True)

    def measure(self, name: str, search: Search, queries: Sequence[Any]) -> None:
        begin = time.thread_time()
        ranked = [search(query) for query in queries]
        self.add(name, ranked, time.thread_time() - begin)


def names_of(found: SearchResult) -> list[str]:
    return [hit.name for hit in found.hits]


def real_speech(args: argparse.Namespace, names: list[str], index: Index) -> dict[str, Any]:
    """Recall over utterances that hold names, and over typed names with the same errors."""
    said = NamesSaid(names)
    utterances, targets, references = [], [], []
    for corpus in args.corpus:
        for split in args.split:
            for utterance in load_split(args.root, corpus, split):
                reference = scoring_text(to_spoken(utterance.transcript))
                if found := said.of(reference):
                    utterances.append(utterance)
                    targets.append(found)
                    references.append(reference)
    model = load(args.model)
    voice = VoiceConfig(nbest=args.nbest, candidates=args.candidates)
    both = VoiceSearch(model, index, voice=voice)
    results = [model.transcribe(u.audio, nbest=args.nbest) for u in utterances]
    listed = set(names)
    both.of_segments(results[0])  # compiles
    title = f"{' and '.join(args.corpus)} {' and '.join(args.split)}"
    table = Table(title, targets)
    table.measure("lookup of the best text", lambda r: looked_up(listed, r.text), results)
    best = [_best_only(result) for result in results]
    one = _Scores(both)
    table.measure("search, best text", lambda r: names_of(both.of_segments(r)), best)
    table.measure(f"search, {args.nbest} best texts", one, results)
    again = []
    begin = time.thread_time()
    for utterance, result in zip(utterances, results, strict=True):
        listening = both.listening(both.words(result))
        again.append(listening.transcribe(utterance.audio, nbest=args.nbest))
    seconds = time.thread_time() - begin
    pairs = list(zip(results, again, strict=True))
    two = _Scores(both)
    table.measure("search, both passes", lambda pair: two(pair[0], pair[1]), pairs)
    table.measure("lookup, second pass", lambda pair: looked_up(listed, pair[1].text), pairs)
    print(f"the second pass: {1000 * seconds / len(results):.0f} ms a query")
    some = "one pass, one with the most popular"
    if args.popular:
        biased = model.add_words(_fitting(names, args.popular))
        heard = [biased.transcribe(u.audio, nbest=args.nbest) for u in utterances]
        table.measure(some, lambda r: names_of(both.of_segments(r)), heard)
    print(reliability(one.scores, targets))
    noise = Noise()
    for reference, result in zip(references, results, strict=True):
        noise.count(reference, result.text)
    typed = typed_queries(args, names, index, noise, said)
    return {"speech": table.rows, "typed": typed, "error_rate": noise.rate}


class _Scores:
    """A search that keeps what it found."""

    def __init__(self, search: VoiceSearch) -> None:
        self._search = search
        self.scores: list[SearchResult] = []

    def __call__(self, result: Result, other: Result | None = None) -> list[str]:
        self.scores.append(self._search.of_segments(result, other.segments if other else ()))
        return names_of(self.scores[-1])


def _best_only(result: Result) -> Result:
    from dataclasses import replace

    segments = tuple(replace(s, alternatives=s.alternatives[:1]) for s in result.segments)
    return replace(result, segments=segments)


def _fitting(names: Sequence[str], count: int) -> list[str]:
    rng = random.Random(3)
    return [name for name in rng.sample(list(names), len(names)) if len(name) > 1][:count]


def typed_queries(
    args: argparse.Namespace, names: list[str], index: Index, noise: Noise, said: NamesSaid
) -> list[dict[str, Any]]:
    """Names in carrier phrases, and sentences that people wrote, with a recogniser's errors."""
    rng = random.Random(args.seed)
    chosen = rng.choices([name for name in names if len(name) > 1], k=args.typed)
    carried = [rng.choice(CARRIERS).format(name) for name in chosen]
    listed, searcher = set(names), Searcher(index)
    rows = _with_errors("typed", carried, [[n] for n in chosen], listed, searcher, noise, rng)
    for path in args.texts:
        texts, targets = sentences(path, said, args.typed, args.seed)
        rows += _with_errors(path.name, texts, targets, listed, searcher, noise, rng)
    return rows


def sentences(
    path: Path, said: NamesSaid, count: int, seed: int
) -> tuple[list[str], list[list[str]]]:
    """So many lines of a text in which names of the list are said, and these names."""
    lines = list(dict.fromkeys(line.split("\t")[-1] for line in read_lines(path)))
    random.Random(seed).shuffle(lines)
    texts, targets = [], []
    for line in lines:
        text = scoring_text(to_spoken(line))
        if names := said.of(text):
            texts.append(text)
            targets.append(names)
            if len(texts) == count:
                break
    return texts, targets


def _with_errors(
    what: str, clean: Sequence[str], targets: list[list[str]], listed: set[str],
    searcher: Searcher, noise: Noise, rng: random.Random,
) -> list[dict[str, Any]]:  # fmt: skip
    """Recall in texts as they are, and with half and all of the recogniser's errors."""
    rows = []
    for scale in (0.0, 0.5, 1.0):
        queries = [noise.applied(text, rng, scale) for text in clean] if scale else clean
        table = Table(f"{what}, {scale * noise.rate:.1%} errors a syllable", targets)
        table.measure("lookup", lambda text: looked_up(listed, text), queries)
        found: list[SearchResult] = []

        def search(text: str, found: list[SearchResult] = found) -> list[str]:
            found.append(searcher.search(text))
            return names_of(found[-1])

        table.measure("search", search, queries)
        print(reliability(found, table.targets))
        rows += table.rows
    return rows


def reliability(found: Sequence[SearchResult], targets: Sequence[Sequence[str]]) -> str:
    """How often first hits are right, by the probability that they were given."""
    pairs = [(one.hits[0].score, one.hits[0].name in wanted)
             for one, wanted in zip(found, targets, strict=True) if one.hits]  # fmt: skip
    scores = np.array([score for score, _ in pairs])
    right = np.array([is_right for _, is_right in pairs], float)
    bins = binned(scores, right, (0.0, 0.3, 0.6, 0.9, 1.01))
    told = [f"{given:.2f} → {true:.2f} ({count})" for given, true, count in bins]
    raw, mapped = knots()
    before = np.interp(scores, mapped, raw)
    errors = (expected_error(before, right), expected_error(scores, right))
    return (f"first hits, probability → right (how many): {', '.join(told)};\n"
            f"  expected calibration error {errors[1]:.3f}, before calibration {errors[0]:.3f}")


def binned(
    scores: NDArray[np.float64], right: NDArray[np.float64], edges: Sequence[float]
) -> list[tuple[float, float, int]]:
    """Mean probability, share that is right and count of each bin that holds any."""
    chosen = [(low <= scores) & (scores < high) for low, high in pairwise(edges)]
    return [(float(scores[some].mean()), float(right[some].mean()), int(some.sum()))
            for some in chosen if some.any()]  # fmt: skip


def expected_error(scores: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """The mean distance of probability and truth over ten bins, by their counts."""
    bins = binned(scores, right, (*np.arange(0, 1, 0.1), 1.01))
    return sum(abs(given - true) * count for given, true, count in bins) / max(1, len(scores))


def scale(args: argparse.Namespace, names: list[str]) -> None:
    """Memory and times of a large catalogue: the names, filled up with pairs of them."""
    rng = random.Random(args.seed)
    many = list(combined(names, args.scale, rng))
    begin = time.thread_time()
    index = Index.build(many, skip_unreadable=True)
    build_s = time.thread_time() - begin
    folder = args.folder / "index"
    index.save(folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    del index, many
    command = [sys.executable, __file__, "--names", str(args.names), "--query", str(folder)]
    print(f"\n{args.scale:,} entries: built in {build_s:.0f} s, {size / 2**20:.0f} MiB on disk,"
          f" {peak_mib():.0f} MiB at most while building", flush=True)  # fmt: skip
    subprocess.run(command, check=True)


def query_times(args: argparse.Namespace, names: list[str]) -> None:
    """Times of queries of an index on disk, one after the other on one thread."""
    rng = random.Random(args.seed + 1)
    chosen = rng.choices([name for name in names if len(name) > 1], k=300)
    queries = [rng.choice(CARRIERS).format(name) for name in chosen]
    begin = time.thread_time()
    index = Index.open(args.query)
    open_s = time.thread_time() - begin
    searcher = Searcher(index)
    searcher.search(queries[0])
    times = []
    for query in queries:
        begin = time.thread_time()
        searcher.search(query)
        times.append(1000 * (time.thread_time() - begin))
    p50, p95 = np.percentile(times, (50, 95))
    print(f"{len(index):,} entries: opened in {open_s:.2f} s, p50 {p50:.1f} ms, p95 {p95:.1f} ms,"
          f" {peak_mib():.0f} MiB at most")  # fmt: skip


def peak_mib() -> float:
    """Memory that the process has held at most (of this program: not of what started it)."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--names", type=Path, required=True, help="table of kind, TAB, name (.xz)")
    parser.add_argument("--root", type=Path, help="folder with splits.json")
    corpora = sorted(CORPUS_FOLDERS)
    parser.add_argument("--corpus", nargs="+", choices=corpora, default=corpora)
    parser.add_argument("--split", nargs="+", choices=["train", "dev", "test"], default=["dev"])
    parser.add_argument("--model", default="ko-kaldi", help="model name or bundle folder")
    parser.add_argument("--nbest", type=int, default=VoiceConfig().nbest)
    parser.add_argument("--candidates", type=int, default=VoiceConfig().candidates)
    parser.add_argument("--popular", type=int, default=0, metavar="N",
                        help="also one pass with N random names as user words")
    parser.add_argument("--typed", type=int, default=1000, help="typed queries (default: 1000)")
    parser.add_argument("--texts", nargs="+", type=Path, default=[], metavar="FILE",
                        help="also sentences of texts (.xz, one a line), as many of each")
    parser.add_argument("--scale", type=int, metavar="N", help="measure a catalogue of N entries")
    parser.add_argument("--query", type=Path, help="only measure times of queries of this index")
    parser.add_argument("--folder", type=Path, default=Path("build/search"), help="for indexes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="write all figures as JSON")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    for path in args.texts:
        if not path.is_file() or path.suffix != ".xz":
            print(f"search.py: {path} is no .xz file of texts", file=sys.stderr)
            return 2
    try:
        names = read_names(args.names)
        figures: dict[str, Any] = {}
        if args.query:
            query_times(args, names)
        elif args.scale:
            scale(args, names)
        else:
            kept = args.folder / "names"
            if not (kept / "index.json").exists():
                Index.build(names, skip_unreadable=True).save(kept)
            figures = real_speech(args, names, Index.open(kept))
    except AsrError as error:
        print(f"search.py: {error}", file=sys.stderr)
        return 1
    if args.output:
        text = json.dumps(figures, ensure_ascii=False, indent=1)
        args.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
