#!/usr/bin/env python3
"""Our searches beside Kaldi's LatticeFasterDecoder: same graph, scores and beams, one thread.

    python -m asr train-lm --text TEXTS... --order 3 --prune 1e-6 --output small.lm
    python tools/bench/decoder.py --root ../shared/speech --lm small.lm

Four processes hold the same scores in memory: Kaldi (kaldi-hmm-gmm) and our static search with one
static graph, and two searches that compose it from the same small language model as they go: our
search on the fly, and a lazy one that keeps what it composed. Each utterance goes to all in turn,
in an order that rotates; the clock runs from a new search to the units of the best path, lattices
being made but not read, and the fastest of the rounds counts (processor time). By then the lazy
search has heard each utterance; so its time on first hearing the last half of them is told, too,
of the first beam.
A search error is an utterance whose best path scores below the best that was found with wide beams.

With --oracle, N-best lists are compared too: ours, and those of the raw lattice of Kaldi's
LatticeSimpleDecoder (kaldi-decoder).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
os.environ.update({name: "1" for name in ONE_THREAD})  # read when numba and others are imported

import numpy as np  # noqa: E402
from accuracy import processor_name  # noqa: E402
from search_worker import save_static  # noqa: E402
from worker_process import WorkerProcess  # noqa: E402

from asr.audio import iter_blocks  # noqa: E402
from asr.data import load_split  # noqa: E402
from asr.decoder.config import DecoderConfig  # noqa: E402
from asr.errors import AsrError  # noqa: E402

KALDI, STATIC, FLY, LAZY = "kaldi", "static", "on-the-fly", "lazy"
SEARCHES = (KALDI, STATIC, FLY, LAZY)
SAME = 1e-3
"""Relative difference up to which two costs are the same."""
MEBIBYTE = 1 << 20

Workers = dict[str, WorkerProcess]


def score_utterances(args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Acoustic scores, float32 [frames, pdfs], of the first utterances of the splits."""
    import asr

    model = asr.load(args.model)
    scores: dict[str, np.ndarray] = {}
    for name in args.splits:
        corpus, split = name.split(":")
        for utterance in load_split(args.root, corpus, split):
            if len(scores) == args.utterances:
                break
            samples = np.concatenate(list(iter_blocks(utterance.audio, model.sample_rate)))
            scores[utterance.id] = model.scorer.scores(samples)
    return scores


def build(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Write what the workers read: scores, the static graph in both forms, the lexicon graph."""
    from asr.bundle import open_bundle
    from asr.graph.hcl import compile_hcl
    from asr.graph.lexicon import Lexicon
    from asr.graph.static_compile import compile_static
    from asr.graph_building import lexicon_config, read_emissions
    from asr.kaldi.fst_writer import static_fst, write_fst
    from asr.lm.binary import load_model
    from asr.models import resolve

    scores = score_utterances(args)
    np.savez(folder / "scores.npz", **scores)  # type: ignore[arg-type]
    bundle, lm = open_bundle(resolve(args.model)), load_model(args.lm)
    lexicon = Lexicon(lm.vocabulary.units, lexicon_config(bundle))
    hcl = compile_hcl(lexicon, read_emissions(bundle), lm.vocabulary.ids)
    config = DecoderConfig(**bundle.manifest.sections["decoder"])
    graph = compile_static(hcl, lm, config)
    save_static(folder / "static.npz", graph)
    np.savez(folder / "hcl.npz", **hcl.to_tensors())  # type: ignore[arg-type]
    write_fst(folder / "HCLG.fst", static_fst(graph), "vector")
    return {
        "utterances": {name: len(rows) for name, rows in scores.items()},
        "audio_s": sum(map(len, scores.values())) * 0.03,
        "graph": {"states": graph.states, "emitting": graph.emitting, "arcs": graph.arcs},
        "ngrams": lm.arcs,
        "decoder": asdict(config),
    }


def start(stack: ExitStack, folder: Path, args: argparse.Namespace, options: str) -> Workers:
    """The processes."""
    scores = str(folder / "scores.npz")
    commands = {
        KALDI: ("kaldi_worker.py", str(folder / "HCLG.fst"), scores),
        STATIC: ("search_worker.py", "static", str(folder / "static.npz"), scores),
        FLY: ("search_worker.py", "on-the-fly", str(folder / "hcl.npz"), scores, str(args.lm),
              options),
        LAZY: ("search_worker.py", LAZY, str(folder / "hcl.npz"), scores, str(args.lm), options),
    }  # fmt: skip
    return {
        name: stack.enter_context(WorkerProcess(*command)) for name, command in commands.items()
    }


def run_beam(
    workers: Workers, utterances: list[str], limits: dict[str, Any], rounds: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Answers by search and utterance, with the least time of the rounds."""
    answers: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    names = list(workers)
    for turn in range(rounds):
        for number, utterance in enumerate(utterances):
            shift = (turn + number) % len(names)
            for name in names[shift:] + names[:shift]:
                answer = workers[name].ask(do="decode", utterance=utterance, **limits)
                best = answers[name].setdefault(utterance, {**answer, "first_s": answer["cpu_s"]})
                for clock in ("wall_s", "cpu_s"):
                    best[clock] = min(best[clock], answer[clock])
    return answers


def same(one: float, other: float) -> bool:
    return abs(one - other) <= SAME * max(abs(one), abs(other))


def summarize(
    answers: dict[str, dict[str, dict[str, Any]]], best: dict[str, float], audio_s: float
) -> dict[str, Any]:
    """Time, search errors and score gaps of each search; and whether Kaldi and ours agree."""
    result: dict[str, Any] = {}
    for name, of_name in answers.items():
        gaps = [best[utterance] - answer["score"] for utterance, answer in of_name.items()]
        cpu = sum(answer["cpu_s"] for answer in of_name.values())
        result[name] = {
            "cpu_s": cpu,
            "wall_s": sum(answer["wall_s"] for answer in of_name.values()),
            "rtf": cpu / audio_s,
            "first_s": sum(
                answer["first_s"] for answer in list(of_name.values())[len(gaps) // 2 :]
            ),
            "found_best": sum(
                gap <= SAME * abs(best[u]) for gap, u in zip(gaps, of_name, strict=True)
            )
            / len(gaps),
            "mean_gap": float(np.mean(np.maximum(gaps, 0.0))),
        }
    pairs = {u: (answers[KALDI][u]["score"], answers[STATIC][u]["score"]) for u in best}
    result["agreement"] = {
        "same": sum(same(*pair) for pair in pairs.values()),
        "same_units": sum(answers[KALDI][u]["units"] == answers[STATIC][u]["units"] for u in best),
        "differ_though_neither_pruned_the_best": sum(
            not same(*pair) and all(same(score, best[u]) for score in pair)
            for u, pair in pairs.items()
        ),
        "static_better": sum(ours > theirs and not same(ours, theirs)
                             for theirs, ours in pairs.values()),
        "kaldi_better": sum(theirs > ours and not same(ours, theirs)
                            for theirs, ours in pairs.values()),
    }  # fmt: skip
    return result


def compare_nbest(workers: Workers, utterances: list[str], args: argparse.Namespace) -> Any:
    """Our N-best lists against those of Kaldi's raw lattices, as far as both lattices reach."""
    limits = {"beam": args.oracle_beam, "lattice_beam": args.oracle_lattice_beam, "count": 10}
    compared = agree = texts = 0
    worst = 0.0
    for utterance in utterances:
        theirs = workers[KALDI].ask(do="nbest", utterance=utterance, **limits)["texts"]
        ours = workers[STATIC].ask(
            do="nbest", utterance=utterance, max_active=args.wide_active, **limits
        )["texts"]
        edge = theirs[0][0] - args.oracle_lattice_beam + SAME * abs(theirs[0][0])
        expected = [score for score, _ in theirs if score > edge]
        found = [score for score, _ in ours if score > edge]
        compared += 1
        if len(found) == len(expected):
            differences = [abs(a - b) / abs(b) for a, b in zip(found, expected, strict=True)]
            worst = max(worst, *differences)
            agree += all(difference <= SAME for difference in differences)
        texts += len(expected)
    return {"utterances": compared, "texts": texts, "agree": agree, "worst_relative": worst}


def print_beam(limits: dict[str, Any], summary: dict[str, Any], first: bool) -> None:
    """A table of a beam; ``first``: the searches heard the utterances for the first time in it."""
    print(f"\nbeam {limits['beam']:g}, max_active {limits['max_active']},"
          f" min_active {limits['min_active']} (Kaldi only), lattice_beam"
          f" {limits['lattice_beam']:g}")  # fmt: skip
    print(f"{'':<12}{'CPU s':>9}{'RTF':>9}{'speed':>8}{'found best':>12}{'mean gap':>10}")
    for name in SEARCHES:
        row = summary[name]
        speed = summary[KALDI]["cpu_s"] / row["cpu_s"]
        print(f"{name:<12}{row['cpu_s']:9.3f}{row['rtf']:9.5f}{speed:7.2f}×"
              f"{row['found_best']:12.1%}{row['mean_gap']:10.4f}")  # fmt: skip
    fly, lazy = (summary[name]["cpu_s"] / summary[STATIC]["cpu_s"] for name in (FLY, LAZY))
    unheard = summary[LAZY]["first_s"] / summary[STATIC]["first_s"]
    told = f" ({unheard:.2f} × on first hearing the last half)" if first else ""
    agreement = summary["agreement"]
    print(f"on the fly takes {fly:.2f} × the time of static, lazy {lazy:.2f} ×{told}; best paths of"
          f" Kaldi and the static search: {agreement['same']} same, {agreement['static_better']}"
          f" static better, {agreement['kaldi_better']} Kaldi better")  # fmt: skip


def benchmark(args: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {"processor": processor_name(), "python": platform.python_version()}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        report |= build(args, folder)
        utterances = list(report["utterances"])
        size = report["graph"]
        print(f"{len(utterances)} utterances, {report['audio_s']:.0f} s; {report['ngrams']}"
              f" n-grams, static graph of {size['states']} states and {size['arcs']} arcs\n"
              f"{report['processor']}, one thread", flush=True)  # fmt: skip
        workers = start(stack, folder, args, json.dumps(report["decoder"]))
        common = {"lattice_beam": args.lattice_beam, "min_active": args.min_active}
        runs = {}
        for beam in args.beams:
            limits = {"beam": beam, "max_active": args.max_active, **common}
            runs[beam] = (limits, run_beam(workers, utterances, limits, args.rounds))
            times = {
                name: sum(answer["cpu_s"] for answer in answers.values())
                for name, answers in runs[beam][1].items()
            }
            said = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
            print(f"beam {beam:g}: {said}", file=sys.stderr, flush=True)
        report["memory"] = {name: worker.ask(do="memory") for name, worker in workers.items()}
        wide_limits = {"beam": args.wide_beam, "max_active": args.wide_active, **common}
        pair = {name: workers[name] for name in (KALDI, STATIC)}
        wide = run_beam(pair, utterances, wide_limits, 1)
        every = [*wide.values(), *(a[name] for _, a in runs.values() for name in (KALDI, STATIC))]
        best = {u: max(answers[u]["score"] for answers in every) for u in utterances}
        report["beams"] = []
        for limits, answers in runs.values():
            summary = summarize(answers, best, report["audio_s"])
            print_beam(limits, summary, first=limits["beam"] == args.beams[0])
            report["beams"].append({**limits, **summary})
        report["wide"] = {**wide_limits, **summarize(wide, best, report["audio_s"])}
        agreement = report["wide"]["agreement"]
        print(f"\nwith beam {args.wide_beam:g} and max_active {args.wide_active}, Kaldi's and the"
              f" static search's best costs are the same (within {SAME:g}, relative) in"
              f" {agreement['same']} of {len(utterances)} utterances, their units in"
              f" {agreement['same_units']}")  # fmt: skip
        if args.oracle:
            report["nbest"] = found = compare_nbest(workers, utterances, args)
            print(f"N-best costs (10 different texts, lattice beam {args.oracle_lattice_beam:g}):"
                  f" the same in {found['agree']} of {found['utterances']} utterances,"
                  f" {found['texts']} texts; largest relative difference"
                  f" {found['worst_relative']:.1e}")  # fmt: skip
    print(f"\n{'':<12}{'peak RSS':>11}{'graph and LM':>14}")
    for name, memory in report["memory"].items():
        print(
            f"{name:<12}{memory['peak'] / MEBIBYTE:7.0f} MiB{memory['graph'] / MEBIBYTE:10.0f} MiB"
        )
    return report


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with splits.json")
    parser.add_argument("--lm", type=Path, required=True, help="small language model")
    parser.add_argument("--model", default="ko-kaldi", help="model name or bundle folder")
    parser.add_argument(
        "--splits",
        nargs="+",
        metavar="CORPUS:SPLIT",
        default=["emotiontts:dev", "pansori:dev", "emotiontts:train"],
    )
    parser.add_argument("--utterances", type=int, default=240, help="at most so many")
    parser.add_argument("--beams", type=float, nargs="+", default=[9.0, 11.0, 13.0, 15.0])
    parser.add_argument("--max-active", type=int, default=7000)
    parser.add_argument("--min-active", type=int, default=0, help="of Kaldi; ours has none")
    parser.add_argument("--lattice-beam", type=float, default=6.0)
    parser.add_argument("--wide-beam", type=float, default=18.0)
    parser.add_argument("--wide-active", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--oracle", action="store_true", help="compare N-best lists, too")
    parser.add_argument("--oracle-beam", type=float, default=13.0)
    parser.add_argument("--oracle-lattice-beam", type=float, default=4.0)
    parser.add_argument("--json", type=Path, help="write all figures here")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    try:
        report = benchmark(args)
    except AsrError as error:
        print(f"decoder.py: {error}", file=sys.stderr)
        return 1
    if args.json:
        text = json.dumps(report, ensure_ascii=False, indent=1)
        args.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
