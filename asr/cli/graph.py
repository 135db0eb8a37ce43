"""`asr graph`: build a model's decoding graph anew, or compile it to a static HCLG."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.cli.inputs import prepare_folder
from asr.cli.models import model_path
from asr.cli.progress import shown_progress
from asr.errors import DataError, ModelError, UsageError

if TYPE_CHECKING:
    from asr.graph.static_graph import StaticGraph

DESCRIPTION = """\
Like Kaldi's mkgraph.sh: write to OUT the model with another language model (over any units) or
other options of the lexicon and the search; and with --static, HCLG as an OpenFst file with
words.txt beside it, for Kaldi's decoders (input labels are pdf + 1). A static graph needs a small
language model: some ten arcs of 16 bytes for each n-gram.
"""
WORDS_FILE = "words.txt"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "graph", help="build a model's graph anew", description=DESCRIPTION
    )
    parser.add_argument("model", metavar="MODEL", help="name of a model, or a bundle's folder")
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT", help="folder of the new model")
    parser.add_argument("--lm", type=Path, metavar="FILE",
                        help="language model from `asr train-lm` (default: the model's own)")
    parser.add_argument("--name", metavar="TEXT", help="name of the new model (default: the same)")
    static = parser.add_argument_group("static graph")
    static.add_argument("--static", type=Path, metavar="FILE.fst",
                        help="write HCLG here, and words.txt beside it")
    static.add_argument("--small-lm", type=Path, metavar="FILE",
                        help="language model of the static graph (default: that of --lm)")
    static.add_argument("--fst-type", choices=("const", "vector"), default="const",
                        help="kind of OpenFst file (%(default)s)")
    options = parser.add_argument_group("options of the graph and the search")
    options.add_argument("--no-across-spaces", action="store_true",
                         help="pronounce across a space as if there were a pause")
    options.add_argument("--no-optional-rules", action="store_true",
                         help="only the first pronunciation that the standard gives")
    options.add_argument("--mergers", action="store_true",
                         help="take ㅐ and ㅔ, and ㅚ, ㅙ and ㅞ, for each other")
    options.add_argument("--lexicon", nargs="+", default=[], metavar="NAME=VALUE",
                         help="other options of the lexicon, such as silence_cost=1.0")
    options.add_argument("--decoder", nargs="+", default=[], metavar="NAME=VALUE",
                         help="options of the search, such as lm_scale=1.2 beam=13")
    options.add_argument("--rescoring", nargs="+", default=[], metavar="NAME=VALUE",
                         help="options of choosing among the N best, such as count=200"
                         " morph_scale=0.75")
    parser.add_argument("--info", action="store_true", help="print the sizes of what was made,"
                        " or without OUT and --static, of the model")
    parser.add_argument("--force", action="store_true", help="replace what is there")


def run(args: argparse.Namespace) -> int:
    """Build what was asked for, and say where it is or how large."""
    if args.out is None and args.static is None and not args.info:
        raise UsageError("nothing to do: give OUT, --static FILE.fst or --info")
    if args.small_lm is not None and args.static is None:
        raise UsageError("--small-lm is for --static FILE.fst")
    if args.rescoring and args.out is None:
        raise UsageError("--rescoring is kept in a model: give OUT")
    lexicon, decoder, rescoring = _changes(args)
    _check(args)
    from asr.graph_building import rebuild, static_graph

    sizes: list[tuple[str, int]] = []
    if args.out is not None:
        with shown_progress() as progress:
            rebuild(args.model, args.out, lm=args.lm, lexicon=lexicon, decoder=decoder,
                    rescoring=rescoring, name=args.name, progress=progress)
        print(args.out)
    if args.static is not None:
        with shown_progress() as progress:
            graph = static_graph(args.model, args.small_lm or args.lm, lexicon=lexicon,
                                 decoder=decoder, progress=progress)
        _write(graph, args.static, args.fst_type)
        print(args.static)
        sizes = _static_sizes(graph)
    if args.info:
        if args.out is not None or args.static is None:
            sizes = _model_sizes(args.out or args.model) + sizes
        for what, size in sizes:
            print(f"{what}\t{size}")
    return 0


def _changes(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The lexicon's, the search's and the rescoring's options that the command line changes."""
    from asr.decoder.config import DecoderConfig
    from asr.decoder.rescoring import RescoringConfig
    from asr.graph.lexicon import LexiconConfig

    lexicon = _parsed("--lexicon", args.lexicon, LexiconConfig)
    decoder = _parsed("--decoder", args.decoder, DecoderConfig)
    switches = {
        "across_spaces": (args.no_across_spaces, False),
        "optional_rules": (args.no_optional_rules, False),
        "mergers": (args.mergers, True),
    }
    lexicon.update({name: value for name, (given, value) in switches.items() if given})
    LexiconConfig(**lexicon)  # refuses values without sense before the work begins
    DecoderConfig(**decoder)
    rescoring = _parsed("--rescoring", args.rescoring, RescoringConfig)
    RescoringConfig(**rescoring)
    return lexicon, decoder, rescoring


def _parsed(option: str, texts: Sequence[str], config: type) -> dict[str, Any]:
    types = {field.name: str(field.type) for field in fields(config)}
    result: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in types:
            raise UsageError(f"{option}: no option {name!r}; there are {', '.join(types)}")
        try:
            result[name] = _READERS[types[name]](value)
        except (KeyError, ValueError):
            raise UsageError(f"{option} {text}: {name} takes a value of type {types[name]}, such"
                             f" as {name}={getattr(config(), name)}") from None
    return result


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


_READERS: dict[str, Callable[[str], Any]] = {"bool": _truth, "int": int, "float": float}


def _check(args: argparse.Namespace) -> None:
    """Find out before the work what would stop it at its end."""
    from asr.bundle import is_bundle  # late: it imports numpy

    for option, path in (("--lm", args.lm), ("--small-lm", args.small_lm)):
        if path is not None and not path.is_file():
            raise ModelError(f"{option} {path}: no such file")
    out = args.out
    if out is not None:
        if is_bundle(out):
            if not args.force:
                raise ModelError(f"{out} already holds a model: give --force to replace it, or"
                                 " choose another place")
        elif out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise ModelError(f"{out} exists and is not a model: choose another place")
        prepare_folder(out.absolute().parent, str(out))
    if args.static is not None:
        for path in (args.static, args.static.with_name(WORDS_FILE)):
            if path.exists() and not path.is_file():
                raise DataError(f"{path} is not a plain file: choose another place for the graph")
            if path.exists() and not args.force:
                raise DataError(f"{path} is there already: give --force to replace it, or choose"
                                " another place")
        prepare_folder(args.static.absolute().parent, str(args.static))


def _write(graph: StaticGraph, path: Path, kind: str) -> None:
    from asr.kaldi.fst_writer import static_fst, write_fst, write_symbols

    try:
        write_fst(path, static_fst(graph), kind)  # type: ignore[arg-type]
        write_symbols(path.with_name(WORDS_FILE), graph.units)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}; choose another place"
        ) from error


def _static_sizes(graph: StaticGraph) -> list[tuple[str, int]]:
    return [
        ("static states", graph.states),
        ("static emitting states", graph.emitting),
        ("static arcs", graph.arcs),
        ("static bytes", graph.nbytes),
    ]


def _model_sizes(model: str | Path) -> list[tuple[str, int]]:
    """Sizes of a bundle's graph and language model."""
    from asr.bundle import GRAPH_FILE, LM_FILE, open_bundle
    from asr.graph.hcl import HclGraph
    from asr.graph_building import own_lm

    bundle = open_bundle(model_path(model))
    graph, lm = HclGraph.from_tensors(bundle.tensors(GRAPH_FILE)), own_lm(bundle)
    return [
        ("graph states", len(graph.kind)),
        ("graph emitting states", len(graph.forward)),
        ("graph arcs", len(graph.arc_target)),
        ("graph bytes", bundle.files[GRAPH_FILE].bytes),
        ("lm units", len(lm.vocabulary)),
        ("lm states", lm.states),
        ("lm n-grams", lm.arcs),
        ("lm bytes", bundle.files[LM_FILE].bytes),
    ]
