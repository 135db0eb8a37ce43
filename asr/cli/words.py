"""`asr words`: what will become of a user's words, before they are given to `asr transcribe`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from asr.cli.messages import describe, report
from asr.cli.models import model_path
from asr.errors import DataError, ModelError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from asr.graph.bias_words import BiasWord
    from asr.word_check import ReadingCheck, WordCheck


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "words",
        help="how words will be pronounced, and whether the model knows them",
        description="For each word: how it may be said, with the cost of each variant in nats; the"
        " units of the model's language model that it becomes; how likely those are; which other"
        " words of the list sound the same; and whether it should be given to `asr transcribe"
        " --words`.",
        epilog="Likelihoods are natural log probabilities a syllable: 0 is certain.",
    )
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--file", metavar="FILE",
                        help="a list of words, one a line; after a TAB its readings, joined by /")
    parser.add_argument("--model", default="ko", metavar="NAME|DIR",
                        help="model by name, or a bundle's folder (default: ko)")
    parser.add_argument("--try", dest="sound", metavar="AUDIO",
                        help="recognise a sound with and without the words")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what is known of each word; words that cannot be read are reported and left out."""
    words, errors = _words(args)
    for error in errors:
        report(describe(error))
    if not words:
        return 1
    path = model_path(args.model)
    checks = _checks(words, path)
    heard = _try(words, path, args.sound) if args.sound else None
    if args.json:
        content: dict[str, Any] = {"words": [one.as_dict() for one in checks]}
        if heard is not None:
            content["try"] = heard
        print(json.dumps(content, ensure_ascii=False))
    else:
        print("\n\n".join("\n".join(_lines(one)) for one in checks))
        if heard is not None:
            print("\n" + "\n".join(_heard_lines(heard)))
    return 1 if errors else 0


def _words(args: argparse.Namespace) -> tuple[list[BiasWord], list[Exception]]:
    """The words of the command line and of the file, each once."""
    from asr.graph.bias_words import make_words, read_words_file

    if not args.words and not args.file:
        raise UsageError("give words, or a list of them with --file")
    words: list[BiasWord] = []
    errors: list[Exception] = []
    for text in args.words:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise DataError("a word on the command line is not UTF-8: convert it with iconv")
        try:
            words += make_words([text])
        except UsageError as error:
            errors.append(error)
    if args.file:
        listed = read_words_file(args.file)
        if not listed:
            raise DataError(f"{args.file} has no words: give a file with one word a line")
        words += listed
    return list(dict.fromkeys(words)), errors


def _checks(words: Sequence[BiasWord], path: Path) -> list[WordCheck]:
    """Only the language model is read: no need of the network, which takes longer to load."""
    from asr.bundle import LM_FILE, open_bundle
    from asr.lm.automaton import LmAutomaton
    from asr.word_check import check_words

    bundle = open_bundle(path)
    try:
        section = bundle.manifest.sections["lm"]
    except KeyError as error:
        raise ModelError(f"the bundle {path} has no language model: import it again") from error
    return check_words(words, LmAutomaton.from_tensors(bundle.tensors(LM_FILE), section))


def _try(words: Sequence[BiasWord], path: Path, sound: str) -> dict[str, Any]:
    """What is recognised without the words and with them, and which words are in each."""
    from asr.recognizer import load

    model = load(path)
    texts = {
        "without": model.transcribe(sound).text,
        "with": model.add_words(words).transcribe(sound).text,
    }
    found = {
        name: [word.written for word in words if _holds(text, word.written)]
        for name, text in texts.items()
    }
    return {"sound": sound, "texts": texts, "found": found}


def _holds(text: str, written: str) -> bool:
    """Whether a word is in a text, however it is spaced."""
    return "".join(written.split()) in "".join(text.split())


def _lines(one: WordCheck) -> Iterator[str]:
    yield one.written
    for reading in one.readings:
        if reading.reading != one.written:
            yield f"  read     {reading.reading}, comes out as {one.written}"
        yield from _reading_lines(reading)
    if one.homophones:
        yield f"  same     {', '.join(one.homophones)}"
    if one.near:
        yield f"  near     {', '.join(one.near)}"
    yield f"  verdict  {one.verdict.value}"


def _reading_lines(reading: ReadingCheck) -> Iterator[str]:
    for number, said in enumerate(reading.pronunciations):
        cost = f" (+{said.cost:.1f} nats)" if number else ""
        yield f"  {'or' if number else 'said':<9}{said.hangul}  {' '.join(said.phones)}{cost}"
    lacking = f" (not in the model: {' '.join(reading.unknown)})" if reading.unknown else ""
    yield f"  units    {' '.join(reading.units)}{lacking}"
    where = "the best context" + (f", after {reading.context!r}" if reading.context else "")
    yield f"  likely   {reading.empty:.2f} without context, {reading.best:.2f} in {where}"


def _heard_lines(heard: dict[str, Any]) -> Iterator[str]:
    yield heard["sound"]
    for name in ("without", "with"):
        found = ", ".join(heard["found"][name]) or "none of the words"
        yield f"  {name:<9}{heard['texts'][name] or '(nothing)'}"
        yield f"  {'':<9}found: {found}"
