#!/usr/bin/env python3
"""How error rates fall with minutes of transcribed speech, by what a model begins with.

    python tools/bench/learning_curve.py --root ../shared/speech --work build/curve \
        --phone-text sentences.txt

Systems: ``encoder`` (Whisper base's upper layers, by LF-MMI), ``tdnnf`` (from random weights, by
LF-MMI), ``adapted`` (the imported Kaldi model, trained on; at 0 minutes as it is). The first two
stand on a GMM system of the same minutes. Sizes are nested draws from the train splits. Dev chooses
the weights and is what is scored: these are curves for development; a test split is not read.
Small sizes are gone through more often: twice as often for a quarter of the speech.

What is done is not done again: run the same command after it was stopped. Prints a table of CER
without spaces (eojeol WER), and writes it to WORK/curve.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.data import CORPUS_FOLDERS
from asr.errors import AsrError
from asr.stages import Stage, run_stage

SYSTEMS = ("encoder", "tdnnf", "adapted")
EPOCHS = {"encoder": 2, "tdnnf": 6, "adapted": 3}
"""For as much speech as ``USUAL`` or more."""
USUAL = 120.0
GMMS = ("mono", "tri", "lda", "sat")
LEAVES = (200, 1000)
"""Of the context tree: at 10 minutes and at 120 or more."""
_PYTHON = (sys.executable, "-m", "asr")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run.

    Attributes:
        root: folder of the corpora.
        corpora: whose train splits are drawn from and whose dev splits are scored.
        work: for all that is made.
        phone_text: sentences for the phone n-gram, or None.
        threads: of the networks' training.
        quick: a trial of the whole way: one pass, small GMMs.
    """

    root: Path
    corpora: tuple[str, ...]
    work: Path
    phone_text: Path | None
    threads: int
    quick: bool

    @property
    def dev(self) -> list[Path]:
        """Data directories of the dev splits."""
        return [self.work / "data" / f"{corpus}-dev" for corpus in self.corpora]

    @property
    def parts(self) -> list[Path]:
        """Data directories of the train splits."""
        return [self.work / "data" / f"{corpus}-train" for corpus in self.corpora]

    @property
    def whole(self) -> Path:
        """The data directory that all sizes are drawn from."""
        return self.work / "data" / "train" if len(self.parts) > 1 else self.parts[0]

    def data(self, minutes: float) -> Path:
        """The data directory of a size."""
        return self.work / "data" / f"train-{minutes:g}"

    def folder(self, system: str, minutes: float) -> Path:
        """What a system of a size is kept in."""
        return self.work / "exp" / f"{system}-{minutes:g}"

    def text(self, system: str, minutes: float, corpus: str) -> Path:
        """What it hears of a dev split."""
        return self.work / "decode" / f"{system}-{minutes:g}.{corpus}.txt"

    def score(self, system: str, minutes: float, corpus: str) -> Path:
        """How that is scored."""
        return self.work / "score" / f"{system}-{minutes:g}.{corpus}.json"


def data_stages(plan: Plan) -> Iterator[Stage]:
    """The corpora as data directories."""
    for split in ("train", "dev"):
        for corpus in plan.corpora:
            out = plan.work / "data" / f"{corpus}-{split}"
            yield Stage(
                f"{corpus}-{split}",
                (*_PYTHON, "data", "from-corpus", corpus, str(plan.root), str(out), "--splits",
                 str(plan.root / "splits.json"), "--split", split, "--force"),
                inputs=(plan.root / "splits.json",), outputs=(out,),
            )  # fmt: skip
    if len(plan.corpora) > 1:
        command = (*_PYTHON, "data", "combine", str(plan.whole), *map(str, plan.parts), "--force")
        yield Stage("combine", command, inputs=tuple(plan.parts), outputs=(plan.whole,))


def size_stages(plan: Plan, minutes: float, systems: Sequence[str]) -> Iterator[Stage]:
    """Everything of one size, but for decoding."""
    whole, data = plan.whole, plan.data(minutes)
    yield Stage(
        f"data-{minutes:g}",
        (*_PYTHON, "data", "subset", str(whole), str(data), "--size", f"{round(60 * minutes)}s",
         "--force"),
        inputs=(whole,), outputs=(data,),
    )  # fmt: skip
    if set(systems) - {"adapted"}:
        yield from _gmm_stages(plan, minutes)
    for system in systems:
        yield _network_stage(plan, minutes, system)


def _gmm_stages(plan: Plan, minutes: float) -> Iterator[Stage]:
    data = plan.data(minutes)
    before: Path | None = None
    for kind in GMMS:
        out = plan.folder(kind, minutes)
        command = [*_PYTHON, "gmm", kind, str(data), "--output", str(out)]
        command += [] if before is None else ["--from", str(before)]
        if kind != "mono":
            command += ["--leaves", str(leaves(minutes))]
        if plan.quick:
            command += ["--iterations", "6"]
        inputs = (data,) if before is None else (data, before)
        yield Stage(f"{kind}-{minutes:g}", tuple(command), inputs=inputs, outputs=(out,))
        before = out


def _network_stage(plan: Plan, minutes: float, system: str) -> Stage:
    data, out = plan.data(minutes), plan.folder(system, minutes)
    sat = plan.folder("sat", minutes)
    command = [*_PYTHON, "train", str(data), str(out), "--dev", *map(str, plan.dev), "--threads",
               str(plan.threads), "--epochs", str(epochs(system, minutes, plan.quick))]  # fmt: skip
    inputs = [data, *plan.dev]
    if system == "adapted":
        command += ["--init", "ko-kaldi"]
    else:
        command += ["--system", str(sat), "--leaves", str(leaves(minutes))]
        inputs.append(sat)
    if system == "encoder":
        command += ["--encoder", "whisper-base"]
    if plan.phone_text is not None:
        command += ["--phone-text", str(plan.phone_text)]
        inputs.append(plan.phone_text)
    return Stage(
        f"{system}-{minutes:g}", tuple(command), inputs=tuple(inputs), outputs=(out,),
        scratch=(out.with_name(out.name + ".work"),),
    )  # fmt: skip


def decode_stages(plan: Plan, system: str, minutes: float, corpus: str) -> Iterator[Stage]:
    """What a system hears of a dev split, and its score."""
    data = plan.work / "data" / f"{corpus}-dev"
    model = plan.folder(system, minutes)
    text, score = plan.text(system, minutes, corpus), plan.score(system, minutes, corpus)
    lines = (data / "wav.scp").read_text(encoding="utf-8").splitlines()
    sounds = [line.split(" ", 1)[1] for line in lines]
    name = f"{system}-{minutes:g}-{corpus}"
    yield Stage(
        f"decode-{name}",
        (*_PYTHON, "transcribe", *sounds, "--model", str(model) if minutes else "ko-kaldi"),
        inputs=(data, model) if minutes else (data,), stdout=text,
    )  # fmt: skip
    yield Stage(
        f"score-{name}", (*_PYTHON, "score", str(data / "text"), str(text), "--json"),
        inputs=(data / "text", text), stdout=score,
    )  # fmt: skip


def epochs(system: str, minutes: float, quick: bool = False) -> int:
    """Times through the data.

    >>> epochs("encoder", 120), epochs("encoder", 60), epochs("encoder", 10)
    (2, 3, 7)
    """
    if quick:
        return 1
    return round(EPOCHS[system] * math.sqrt(max(1.0, USUAL / minutes)))


def leaves(minutes: float) -> int:
    """Of the context tree.

    >>> leaves(10), leaves(60), leaves(240)
    (200, 564, 1000)
    """
    few, many = LEAVES
    share = min(1.0, max(0.0, (minutes - 10) / (USUAL - 10)))
    return round(few + share * (many - few))


def table(plan: Plan, sizes: Sequence[float], systems: Sequence[str]) -> str:
    """The scores that are there; a dash where one is not."""
    columns = [(system, corpus) for system in systems for corpus in plan.corpora]
    head = " | ".join(f"{system}, {corpus}" for system, corpus in columns)
    lines = [f"| minutes | {head} |", "|---|" + "---|" * len(columns)]
    for minutes in sizes:
        cells = [_cell(plan.score(system, minutes, corpus)) for system, corpus in columns]
        lines.append(f"| {minutes:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(path: Path) -> str:
    if not path.exists():
        return "–"
    found = json.loads(path.read_text(encoding="utf-8"))
    return f"{found['cer']['rate']:.1%} ({found['wer']['rate']:.1%})"


def main() -> int:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description="Learning curves by minutes of speech.")
    parser.add_argument("--root", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--work", type=Path, required=True, help="for all that is made")
    parser.add_argument("--corpora", nargs="+", choices=sorted(CORPUS_FOLDERS),
                        default=sorted(CORPUS_FOLDERS))  # fmt: skip
    parser.add_argument("--minutes", nargs="+", type=float, default=[10, 30, 60, 120])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=[*SYSTEMS])
    parser.add_argument("--phone-text", type=Path, metavar="FILE", help="as of `asr train`")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true",
                        help="one pass and small GMMs, to see whether all works")
    args = parser.parse_args()
    plan = Plan(args.root.resolve(), tuple(args.corpora), args.work.resolve(),
                args.phone_text and args.phone_text.resolve(), args.threads, args.quick)
    marks = plan.work / "marks"
    for folder in ("exp", "decode", "score"):
        (plan.work / folder).mkdir(parents=True, exist_ok=True)
    sizes = [*([0.0] if "adapted" in args.systems else []), *sorted(args.minutes)]
    try:
        for stage in data_stages(plan):
            _run(stage, marks)
        for minutes in sizes:
            systems = args.systems if minutes else ["adapted"]
            if minutes:
                for stage in size_stages(plan, minutes, systems):
                    _run(stage, marks)
            for system in systems:
                for corpus in plan.corpora:
                    for stage in decode_stages(plan, system, minutes, corpus):
                        _run(stage, marks)
    except AsrError as error:
        print(f"learning_curve: error: {error}", file=sys.stderr)
        return 1
    finally:
        found = table(plan, sizes, args.systems)
        (plan.work / "curve.md").write_text(found + "\n", encoding="utf-8")
        print(found)
    return 0


def _run(stage: Stage, marks: Path) -> None:
    done = run_stage(stage, marks)
    print(f"{stage.name}: {'done' if done else 'was done already'}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
