"""`asr search`: which entries of a catalogue were meant by what is said or typed."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from asr.cli.inputs import STDIN, Input, check_no_sound, expand
from asr.cli.messages import about, describe, report
from asr.cli.models import load_model
from asr.cli.options import positive
from asr.errors import DataError, UsageError

if TYPE_CHECKING:
    from asr.search import Index, SearchConfig, SearchResult, VoiceSearch

logger = logging.getLogger("asr.search")

MOST_HITS = 1000


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "search",
        help="find entries of a catalogue by voice",
        description="Rank the entries of a catalogue (names, places, songs) by the probability that"
        " they are meant by what is said in a sound, or typed. Particles and carrier phrases"
        " (근처 맛집 찾아줘) may stand around the name.",
        epilog="A catalogue is a table, UTF-8: name, and where wanted after TABs popularity,"
        " aliases joined by |, and anything else (docs/search.md).",
    )
    parser.add_argument("sounds", nargs="*", metavar="AUDIO",
                        help="a sound file, a folder of them, or - for standard input")
    where = parser.add_argument_group("what is searched")
    where.add_argument("--catalog", type=Path, metavar="FILE", help="the catalogue")
    where.add_argument("--index", type=Path, metavar="DIR",
                       help="an index of a catalogue, made with --build-index: opens at once")
    where.add_argument("--build-index", type=Path, metavar="DIR",
                       help="write an index of the catalogue there")
    where.add_argument("--skip-unreadable", action="store_true",
                       help="leave out entries that no rule reads aloud, instead of refusing them")
    how = parser.add_argument_group("how it is searched")
    how.add_argument("--text", action="append", default=[], metavar="QUERY",
                     help="search for a typed query; may be repeated")
    how.add_argument("--top", type=positive, default=5, metavar="N",
                     help="hits of each query (default: 5)")
    how.add_argument("--passes", type=int, choices=(1, 2), default=1,
                     help="2: listen again for the likeliest entries (default: 1)")
    how.add_argument("-m", "--model", default="ko", metavar="NAME|DIR",
                     help="model by name, or a bundle's folder (default: ko)")
    how.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("-f", "--format", choices=("txt", "json"), default="txt",
                        help="txt: a line a hit, or json: an object a query (default: txt)")


def run(args: argparse.Namespace) -> int:
    """Search for every query; a sound that cannot be read does not stop the others."""
    _check(args)
    inputs, errors = expand(args.sounds, raw=False) if args.sounds else ([], [])
    for error in errors:
        report(describe(error))
    index = _index(args)
    if not args.text and not inputs:
        return 1 if errors else 0
    from asr.search import SearchConfig, Searcher
    from asr.search.hypotheses import is_readable

    config = SearchConfig(top=args.top)
    first = True
    searcher = Searcher(index, config)
    for text in args.text:
        result = searcher.search(text)
        if not result.hits and not is_readable(text):
            logger.warning("nothing in the query %r can be read aloud: write it in Hangul", text)
        _tell(result, text, args.format, first)
        first = False
    failures = len(errors)
    if inputs:
        voice = _voice_search(args, index, config)
        for item in inputs:
            try:
                result = replace(voice.search(item.source), source=item.name)
            except Exception as error:
                if args.debug:
                    raise
                failures += 1
                report(about(item.name, error))
                continue
            _tell(result, _title(item, result), args.format, first)
            first = False
    return 1 if failures else 0


def _check(args: argparse.Namespace) -> None:
    if args.catalog is not None and args.index is not None:
        raise UsageError("--catalog and --index: give only one of them")
    if args.catalog is None and args.index is None:
        raise UsageError("give a catalogue with --catalog, or an index of one with --index")
    check_no_sound("--catalog", args.catalog)
    if args.build_index is not None and args.catalog is None:
        raise UsageError("--build-index needs the --catalog to index")
    if not args.text and not args.sounds and args.build_index is None:
        raise UsageError("give sounds, or a query with --text")
    if args.top > MOST_HITS:
        raise UsageError(f"--top gives {MOST_HITS} hits at most")
    for text in args.text:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise DataError("a query on the command line is not UTF-8: convert it with iconv")


def _index(args: argparse.Namespace) -> Index:
    from asr.search import Index, read_catalog

    if args.index is not None:
        return Index.open(args.index)
    index = Index.build(read_catalog(args.catalog), skip_unreadable=args.skip_unreadable)
    if args.build_index is not None:
        index.save(args.build_index)
    return index


def _voice_search(args: argparse.Namespace, index: Index, config: SearchConfig) -> VoiceSearch:
    model = load_model(args.model, args.device)
    from asr.search import VoiceConfig, VoiceSearch

    return VoiceSearch(model, index, config, VoiceConfig(passes=args.passes))


def _title(item: Input, result: SearchResult) -> str:
    name = "<stdin>" if item.source == STDIN else item.name
    return f"{name}: {result.text}".rstrip()


def _tell(result: SearchResult, title: str, form: str, first: bool) -> None:
    if form == "json":
        print(json.dumps(result.to_dict(), ensure_ascii=False))
    else:
        print("\n".join(([] if first else [""]) + [title, *_lines(result)]))
    sys.stdout.flush()


def _lines(result: SearchResult) -> Iterator[str]:
    """A line for each hit: probability, name, where it was said, what stands around it."""
    for hit in result.hits:
        when = "" if hit.start is None else f"  {hit.start:.2f}-{hit.end:.2f} s"
        around = f"  [{' '.join(hit.intent)}]" if hit.intent else ""
        more = "".join(f"\t{field}" for field in hit.payload)
        yield f"  {hit.score:.3f}  {hit.name}{when}{around}{more}"
    if not result.hits:
        yield "  (nothing)"
