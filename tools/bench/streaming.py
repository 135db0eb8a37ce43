#!/usr/bin/env python3
"""Live recognition: accuracy against whole files, latency of words, and how much partials flicker.

    python tools/bench/streaming.py --corpus emotiontts --split dev --root ../shared/speech

Every utterance is fed in blocks of a tenth of a second. Latency is counted in sound, not by the
clock: from the end of a word (by the final text's times) to the end of the block after which the
partial text shows it and keeps it. What the processor adds is the real-time factor's part. Flicker
is the share of characters shown in partials that the next partial takes back.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
from accuracy import references  # noqa: E402

import asr  # noqa: E402
from asr.acoustic.live_scorer import WindowConfig  # noqa: E402
from asr.data import CORPUS_FOLDERS, load_split  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.live import LiveConfig, shared_length  # noqa: E402
from asr.result import Result  # noqa: E402
from asr.score import score  # noqa: E402

BLOCK = 0.1
"""Seconds of sound fed at once."""


class Watched:
    """One sound through a live stream, and what its partials showed when."""

    def __init__(self, model: asr.Model, samples: np.ndarray, config: LiveConfig) -> None:
        self.shown: list[tuple[float, list[str]]] = []
        self.taken_back = self.all_shown = 0
        stream = model.stream(live=config)
        block = round(BLOCK * model.sample_rate)
        before = ""
        for begin in range(0, len(samples), block):
            stream.accept(samples[begin : begin + block])
            text = " ".join([*(s.text for s in stream.segments), stream.partial().text]).strip()
            if text != before:
                self._count(before, text)
                self.shown.append(((begin + block) / model.sample_rate, text.split()))
                before = text
        self.result: Result = stream.finish()
        self._count(before, self.result.text)
        self.shown.append((len(samples) / model.sample_rate, self.result.text.split()))

    def _count(self, before: str, text: str) -> None:
        same = shared_length([before, text])
        self.taken_back += len(before) - same
        self.all_shown += len(text) - same

    def latencies(self) -> list[float]:
        """Of each final word: seconds from its end until it is shown for good."""
        found = []
        for place, word in enumerate(self.result.words):
            since = self.shown[-1][0]
            for when, words in reversed(self.shown):
                if len(words) <= place or words[place] != word.text:
                    break
                since = when
            found.append(since - word.end)
        return found


def measure(model: asr.Model, sounds: dict[str, np.ndarray], config: LiveConfig,
            refs: dict[str, str]) -> dict[str, Any]:  # fmt: skip
    """Scores of one way of following."""
    clock = time.process_time()
    watched = {name: Watched(model, samples, config) for name, samples in sounds.items()}
    cpu = time.process_time() - clock
    report = score(list(refs.values()), [watched[name].result.text for name in refs])
    latencies = [late for one in watched.values() for late in one.latencies()]
    shown = sum(one.all_shown for one in watched.values())
    return {
        "cer": report.cer.rate, "spaced_cer": report.cer_with_spaces.rate, "wer": report.wer.rate,
        "latency_p50": float(np.median(latencies)),
        "latency_p95": float(np.quantile(latencies, 0.95)),
        "unstable": sum(one.taken_back for one in watched.values()) / max(1, shown),
        "rtf_cpu": cpu / (sum(map(len, sounds.values())) / model.sample_rate),
    }  # fmt: skip


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Accuracy and latency of live recognition.")
    parser.add_argument("--corpus", choices=[*CORPUS_FOLDERS], default="emotiontts")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--root", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--model", default="ko")
    parser.add_argument("--live-model", help="follows the sound for --model")
    parser.add_argument("--step", type=float, nargs="+", default=[LiveConfig().step])
    parser.add_argument("--beam", type=float, default=LiveConfig().beam)
    parser.add_argument("--agreement", type=int, default=LiveConfig().agreement)
    parser.add_argument("--left", type=float, default=WindowConfig().left)
    parser.add_argument("--right", type=float, default=WindowConfig().right)
    parser.add_argument("--utterances", type=int, help="only the first N")
    parser.add_argument("--once", action="store_true", help="only without a second recognition")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.live_model and args.once:
        parser.error("--once takes the first search's text: give that model as --model")
    try:
        rows = _rows(args)
    except AsrError as error:
        print(f"streaming: error: {error}", file=sys.stderr)
        return 1
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


def _ways(args: argparse.Namespace) -> tuple[bool, ...]:
    """Whether segments are recognised again, in turn."""
    if args.live_model:
        return (True,)
    return (False,) if args.once else (True, False)


def _rows(args: argparse.Namespace) -> list[dict[str, Any]]:
    import torch

    torch.set_num_threads(1)
    utterances = load_split(args.root, args.corpus, args.split)
    utterances = utterances[: args.utterances]
    model = asr.load(args.model)
    if args.live_model:
        model = model.following(asr.load(args.live_model))
    refs = references(utterances, args.corpus)
    sounds = {u.id: asr.load_audio(u.audio, model.sample_rate).samples for u in utterances}
    first = next(iter(sounds.values()))
    model.transcribe(first, sample_rate=model.sample_rate)  # compiles the search
    clock = time.process_time()
    whole = [model.transcribe(x, sample_rate=model.sample_rate).text for x in sounds.values()]
    cpu = time.process_time() - clock
    report = score(list(refs.values()), whole)
    rtf = cpu / (sum(map(len, sounds.values())) / model.sample_rate)
    print(f"{args.model}, {args.corpus} {args.split}, {len(sounds)} utterances; CER without spaces,"
          " spoken form; latency in seconds of sound\n"
          "| how | step | CER | CER with spaces | eojeol WER | latency p50 | p95 | taken back |"
          " RTF |\n|---|---|---|---|---|---|---|---|---|\n"
          f"| whole file | | {report.cer.rate:.2%} | {report.cer_with_spaces.rate:.2%} |"
          f" {report.wer.rate:.2%} | | | | {rtf:.3f} |", flush=True)  # fmt: skip
    rows = []
    window = WindowConfig(args.left, args.right)
    for step in args.step:
        for again in _ways(args):
            config = LiveConfig(step=step, again=again, beam=args.beam,
                                agreement=args.agreement, window=window)
            row = measure(model, sounds, config, refs)
            rows.append({"again": again, "step": step, **row})
            print(f"| {'live, then again' if again else 'live'} | {step} | {row['cer']:.2%} |"
                  f" {row['spaced_cer']:.2%} | {row['wer']:.2%} | {row['latency_p50']:.2f} |"
                  f" {row['latency_p95']:.2f} | {row['unstable']:.0%} | {row['rtf_cpu']:.3f} |",
                  flush=True)  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main())
