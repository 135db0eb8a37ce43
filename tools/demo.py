"""Show what Malsori recognises: reference, hypothesis, error rate and speed, and on what sound.

Run by `tools/demo.sh`, which sets up the environment first.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch

from asr import Model, load
from asr.cli.inputs import expand
from asr.cli.main import main as asr_command
from asr.cli.progress import shown_progress
from asr.data.corpora import load_split
from asr.data_files import shipped
from asr.errors import AsrError
from asr.graph.grammar import parse_grammar
from asr.hangul.normalize import to_spoken
from asr.models import resolve
from asr.score import score

SPEECH = Path(__file__).parent.parent.parent / "shared" / "speech"
SENTENCES_PER_CORPUS = 6
GRAMMAR = "<digits 4-10 native>"
NUMBER_WORDS = ["공", "영", "하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉", "열"]


@dataclass(frozen=True)
class Item:
    """A sound, and what is said in it where that is known."""

    path: Path
    reference: str | None


@dataclass
class Totals:
    """Sums over a group of sounds."""

    seconds: float = 0.0
    time: float = 0.0


def main() -> int:
    """Run every group there is sound for; 1 when a file given as argument could not be read."""
    parser = argparse.ArgumentParser(description="Recognise samples and given files.")
    parser.add_argument("files", nargs="*", help="more sound files or folders to recognise")
    parser.add_argument("--model", default="ko")
    parser.add_argument("--base", type=Path, default=Path(), help="what relative FILES start from")
    args = parser.parse_args()
    torch.set_num_threads(1)  # speed is told for one thread
    with shown_progress() as progress:
        path = resolve(args.model, progress)
    started = time.perf_counter()
    model = load(path)
    print(f"Model {model.name}, loaded in {time.perf_counter() - started:.1f} s\n"
          f"  licence: {model.licence}\n  {model.attribution}")
    warm_up(model)
    samples = sample_items()
    digits = [item for item in samples if item.path.name.startswith("human")]
    synthetic = [item for item in samples if item.path.name.startswith("synthetic")]
    show_corpora(model)
    title = ("Human digits (GPL-2: ten real, muffled recordings of one speaker, joined by us),"
             " with a language model of number words only")
    show(number_model(args.model), title, digits)
    show_grammar(model, [*digits, synthetic[0]])
    show(model, "Synthetic speech (eSpeak NG's formant voice, no human being)", synthetic)
    title = "The digits with the default language model, which was made for sentences, not numbers"
    show(model, title, digits)
    return show_files(model, [str(args.base / file) for file in args.files])


def warm_up(model: Model) -> None:
    """Compile and page in what the first utterance would otherwise be charged for."""
    model.transcribe(shipped("samples") / "human-digits-12345.flac")


def number_model(model: str) -> Model:
    """The model with another language model: a thousand random number strings.

    Isolated numbers are no sentences, so the default language model hears words in them. Whoever
    knows what will be said makes a model for it, as here, by `asr train-lm` and `asr graph`.
    """
    random = Random(0)
    lines = (" ".join(random.choices(NUMBER_WORDS, k=random.randint(1, 10))) for _ in range(1000))
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as hushed:
        text, lm, bundle = (str(Path(folder) / name) for name in ("numbers.txt", "lm", "bundle"))
        Path(text).write_text("\n".join(lines), encoding="utf-8")
        calls = (
            ["train-lm", "--order", "3", "--text", text, "--output", lm],
            ["graph", model, bundle, "--lm", lm],
        )
        for call in calls:
            with contextlib.redirect_stdout(hushed), contextlib.redirect_stderr(hushed):
                code = asr_command(call)
            if code != 0:
                raise SystemExit(f"`asr {' '.join(call)}` failed with exit code {code}")
        return load(bundle)


def show_grammar(model: Model, items: Iterable[Item]) -> None:
    """A closed grammar: what is in it comes out as written, and all else is rejected."""
    print(f"\n== The grammar {GRAMMAR}: digits as written, or nothing ==\n")
    closed = model.with_grammar(parse_grammar(GRAMMAR))
    for item in items:
        result = closed.transcribe(item.path)
        (segment, *_) = result.segments or (None,)
        sure = "" if segment is None else f" (probability {segment.confidence:.2f})"
        heard = "rejected" if result.rejected else result.text
        print(f"  said: {item.reference}\n  heard: {heard}{sure}")


def sample_items() -> list[Item]:
    """The sounds that are shipped."""
    folder = shipped("samples")
    lines = (folder / "transcripts.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    return [Item(folder / name, text) for name, text in rows]


def show_corpora(model: Model) -> None:
    """Real sentences, if the corpora are beside the source tree; always of the dev split."""
    for corpus, what in [
        ("emotiontts", "Real studio speech (emotiontts open DB, dev split, CC BY-NC-SA 4.0);"
                       " ko learnt from it, so this is no measure"),
        ("pansori", "Real talks on stage (Pansori TEDxKR, dev split, CC BY-NC-ND 4.0)"),
    ]:
        if not (SPEECH / "splits.json").exists():
            print(f"\n{what}: not run, because {SPEECH} does not exist")
            continue
        utterances = load_split(SPEECH, corpus, "dev")
        chosen = utterances[:: max(1, len(utterances) // SENTENCES_PER_CORPUS)]
        show(model, what, [
            Item(utterance.audio, to_spoken(utterance.transcript))
            for utterance in chosen[:SENTENCES_PER_CORPUS]
        ])


def show_files(model: Model, arguments: Sequence[str]) -> int:
    """What the user gave, whose text is not known."""
    if not arguments:
        return 0
    inputs, errors = expand(arguments, raw=False)
    failures = [*map(str, errors)]
    failures += show(model, "Your files", [Item(Path(item.source), None) for item in inputs])
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


def show(model: Model, title: str, items: Iterable[Item]) -> list[str]:
    """Print a group; return the messages of the sounds that could not be read."""
    print(f"\n== {title} ==")
    references, hypotheses, totals, failures = [], [], Totals(), []
    for item in items:
        started = time.process_time()  # as RTF is told everywhere: other work does not count
        try:
            result = model.transcribe(item.path)
        except AsrError as error:
            failures.append(str(error))
            continue
        spent = time.process_time() - started
        totals.seconds += result.duration
        totals.time += spent
        speed = f"{result.duration:.1f} s, RTF {spent / max(result.duration, 1e-3):.3f}"
        print(f"\n{item.path.name} ({speed})")
        if item.reference is not None:
            references.append(item.reference)
            hypotheses.append(result.text)
            rate = score([item.reference], [result.text]).cer.rate
            print(f"  said:  {item.reference}\n  heard: {result.text}\n  CER {rate:.1%}")
        else:
            print(f"  heard: {result.text}")
    if references:
        print(f"\n  together: CER {score(references, hypotheses).cer.rate:.1%} of {len(references)}"
              f" sounds, RTF {totals.time / totals.seconds:.3f}")
    return failures


if __name__ == "__main__":
    sys.exit(main())
