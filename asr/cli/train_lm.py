"""`asr train-lm`: train an n-gram language model from text."""

from __future__ import annotations

import argparse
import contextlib
import logging
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from asr.cli.progress import shown_progress
from asr.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from asr.lm.inventory import InventoryConfig
    from asr.lm.ngram import NgramModel
    from asr.lm.train import TrainConfig
    from asr.lm.units import Vocabulary

log = logging.getLogger(__name__)

DESCRIPTION = """\
Train a modified Kneser-Ney language model over Hangul syllables or longer units. Texts hold a
sentence a line in Hangul and spaces (--spoken turns other text into such), plain or compressed
(.gz, .xz). With --dev or --weights each file is a corpus of its own, smoothed apart and mixed; else
all are one corpus. Prints how many n-grams the model has, in all and of each length, and the
perplexity of --dev texts.
"""
_HANGUL = re.compile("[가-힣]")
_MANY_UNKNOWN = 0.5


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "train-lm", help="train an n-gram language model from text", description=DESCRIPTION
    )
    texts = parser.add_argument_group("texts")
    texts.add_argument("--text", type=Path, nargs="+", metavar="FILE", required=True,
                       help="training texts")
    texts.add_argument("--words", type=Path, nargs="+", metavar="FILE", default=[],
                       help="word lists: a word, TAB and count a line")
    texts.add_argument("--dev", type=Path, nargs="+", metavar="FILE", default=[],
                       help="texts of the kind to be recognised: the mixture is fitted to them"
                       " (each alike, whatever its size) and their perplexity is printed")
    texts.add_argument("--spoken", action="store_true",
                       help="read numbers, Latin letters and signs of the texts aloud, split at"
                       " sentence ends, and leave out what cannot be read")
    units = parser.add_argument_group("units")
    units.add_argument("--units", metavar="KIND", default=None,
                       help="syllable (default), subword (sentencepiece's unigram pieces), bpe,"
                       " morph (Kiwi's, as written) or eojeol; single syllables are units in any"
                       " case, so that every word can be spelled")
    units.add_argument("--num-units", type=int, metavar="N",
                       help="how many units of several syllables (16000)")
    units.add_argument("--vocab", type=Path, metavar="FILE",
                       help="units, one a line (▁가 opens an eojeol), longer ones with a TAB and"
                       " a cost; default: from the texts")
    units.add_argument("--write-vocab", type=Path, metavar="FILE",
                       help="write the units, as --vocab reads them")
    units.add_argument("--min-unit-count", type=int, default=3, metavar="N",
                       help="units are seen at least N times (%(default)s), but for the 2,350"
                       " syllables of KS X 1001")
    model = parser.add_argument_group("model")
    model.add_argument("--order", type=int, default=5, metavar="N",
                       help="longest n-grams, 1 to 8 (%(default)s)")
    model.add_argument("--weights", type=float, nargs="+", metavar="W",
                       help="weight of each text and word list, in this order")
    model.add_argument("--power", type=float, default=0.5, metavar="P",
                       help="with --weights: a corpus that knows a context n times has a share of"
                       " weight * n^P (%(default)s)")
    model.add_argument("--reserve", type=float, default=0.0, metavar="R",
                       help="with --weights: the share, beside those, of what shorter contexts"
                       " say (%(default)s)")
    model.add_argument("--min-counts", type=int, nargs="+", default=[], metavar="C",
                       help="smallest count of 1-grams, 2-grams, ... that are kept")
    model.add_argument("--prune", type=float, default=0.0, metavar="THRESHOLD",
                       help="drop n-grams that change the perplexity by less than this part, such"
                       " as 1e-8")
    model.add_argument("--size", type=int, metavar="N",
                       help="drop the n-grams that matter least until no more than N are left")
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, metavar="FILE",
                        help="compact model, for `asr import-kaldi --lm`")
    output.add_argument("--arpa", type=Path, metavar="FILE", help="ARPA text")
    output.add_argument("--licence", default="", metavar="TEXT",
                        help="kept in the model: terms under which it may be passed on")
    output.add_argument("--attribution", default="", metavar="TEXT",
                        help="kept in the model: whom to name")


def run(args: argparse.Namespace) -> int:
    """Train, write and evaluate."""
    if args.output is None and args.arpa is None:
        raise UsageError("nothing to write: give --output FILE, --arpa FILE or both")
    config = _config(args)
    config.check(len(args.text) + len(args.words))
    units = _inventory(args)
    units.check()
    for option, path in _outputs(args):
        _probe(option, path)
    with shown_progress() as progress:
        from asr.lm.counts import Corpus
        from asr.lm.text_files import read_words
        from asr.lm.train import train
        from asr.lm.units import encode_lines, encode_words

        progress(0.0, "reading texts")
        texts = [sentences(path, args.spoken) for path in args.text]
        tuning = [sentences(path, args.spoken) for path in args.dev]
        words = [read_words(path) for path in args.words]
        vocabulary = _vocabulary(args, units, texts, words)
        corpora = [Corpus(encode_lines(lines, vocabulary)) for lines in texts]
        corpora += [Corpus(encode_words(pairs, vocabulary), fragments=True) for pairs in words]
        del texts, words
        dev_tokens = [encode_lines(lines, vocabulary) for lines in tuning]
        tokens = [*(corpus.tokens for corpus in corpora), *dev_tokens]
        _warn_of_unknown([*args.text, *args.words, *args.dev], tokens, vocabulary)
        model = train(corpora, vocabulary, config, dev_tokens, progress)
        progress(0.95, "writing")
        model = _write(model, args)
    _describe(model, args.dev, tuning)
    return 0


def _config(args: argparse.Namespace) -> TrainConfig:
    from asr.lm.kneser_ney import Mixture
    from asr.lm.train import TrainConfig

    mixture = None
    if args.weights is not None:
        mixture = Mixture(tuple(args.weights), args.power, args.reserve)
    return TrainConfig(args.order, tuple(args.min_counts), args.prune, mixture, args.size)


def _inventory(args: argparse.Namespace) -> InventoryConfig:
    from asr.lm.inventory import InventoryConfig

    if args.vocab is not None and (args.units is not None or args.num_units is not None):
        raise UsageError("--vocab names the units already; leave out --units and --num-units")
    least = args.min_unit_count
    config = InventoryConfig(min_syllable_count=least, min_count=least)
    if args.units is not None:
        config = replace(config, kind=args.units)
    if args.num_units is not None:
        if config.kind == "syllable":
            raise UsageError("--num-units is for longer units than syllables; give --units")
        config = replace(config, size=args.num_units)
    return config


def _outputs(args: argparse.Namespace) -> list[tuple[str, Path]]:
    pairs = (
        ("--output", args.output),
        ("--arpa", args.arpa),
        ("--write-vocab", args.write_vocab),
    )
    return [(option, path) for option, path in pairs if path is not None]


@contextlib.contextmanager
def _writing(option: str, path: Path) -> Iterator[None]:
    """Name the option and its file when writing fails, not the temporary file beside it."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{option} {path} cannot be written: {error.strerror or error}; choose another place"
        ) from error


def _probe(option: str, path: Path) -> None:
    """Refuse a place where no file can be made, before hours of training; leaves nothing there."""
    with _writing(option, path):
        if path.exists() and not path.is_file():
            raise DataError(f"{option} {path} is not a plain file; name a file to write")
        folder = path.parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            pass


def sentences(path: Path, spoken: bool) -> list[str]:
    """Read a text.

    Raises:
        DataError: it cannot be read, or there is nothing in it to learn from or to be scored.
    """
    from asr.hangul.normalize import spoken_sentences
    from asr.lm.text_files import read_lines

    lines = list(read_lines(path))
    if spoken:
        lines = [sentence for line in lines for sentence in spoken_sentences(line)]
        if not lines:
            raise DataError(f"{path} holds no sentence that can be read aloud in Hangul;"
                            " check the file and its encoding")  # fmt: skip
    elif not any(line.strip() for line in lines):
        raise DataError(f"{path} holds no sentence; check the file and its encoding")
    elif not any(_HANGUL.search(line) for line in lines):
        raise DataError(f"no Hangul in {path}; use --spoken to read numbers and Latin letters"
                        " aloud")  # fmt: skip
    return lines


def _warn_of_unknown(
    paths: Sequence[Path], texts: Sequence[np.ndarray], vocabulary: Vocabulary
) -> None:
    """Warn of each text (a token array) most of whose units the vocabulary lacks."""
    for path, tokens in zip(paths, texts, strict=True):
        units = int(((tokens != vocabulary.bos) & (tokens != vocabulary.eos)).sum())
        unknown = int((tokens == vocabulary.unk).sum())
        if unknown > _MANY_UNKNOWN * units:
            log.warning("%s: %.0f%% of the units are <unk>: check its encoding and --vocab, or"
                        " use --spoken", path, 100 * unknown / units)  # fmt: skip


def _vocabulary(
    args: argparse.Namespace,
    units: InventoryConfig,
    texts: Sequence[list[str]],
    words: Sequence[list[tuple[str, int]]],
) -> Vocabulary:
    from asr.atomic import replaced_file
    from asr.lm.inventory import build_inventory
    from asr.lm.text_files import read_vocabulary, write_vocabulary

    if args.vocab is not None:
        vocabulary = read_vocabulary(args.vocab)
    else:
        vocabulary = build_inventory(
            [line for text in texts for line in text],
            units,
            [pair for pairs in words for pair in pairs],
        )
    if args.write_vocab is not None:
        with _writing("--write-vocab", args.write_vocab), replaced_file(args.write_vocab) as file:
            write_vocabulary(vocabulary, file)
    return vocabulary


def _write(model: NgramModel, args: argparse.Namespace) -> NgramModel:
    """Write the files asked for; return the model as the reader of the first will get it."""
    from asr.atomic import replaced_file
    from asr.lm.arpa import write_arpa
    from asr.lm.binary import load_ngrams, save_model

    model = replace(model, licence=args.licence, attribution=args.attribution)
    if args.arpa is not None:
        with _writing("--arpa", args.arpa), replaced_file(args.arpa) as file:
            write_arpa(model, file)
    if args.output is not None:
        with _writing("--output", args.output):
            save_model(model, args.output)
        return load_ngrams(args.output)
    return model


def _describe(model: NgramModel, names: list[Path], texts: list[list[str]]) -> None:
    sizes = ", ".join(f"{n}-grams {len(table)}" for n, table in enumerate(model.orders, 1))
    print(f"n-grams\ttotal {model.size}\t{sizes}")
    for name, lines in zip(names, texts, strict=True):
        result = model.perplexity(lines)
        print(f"{name}\tperplexity {result.per_unit:.2f} a unit, {result.per_jamo:.3f} a jamo;"
              f" {result.tokens} units, {result.unknown} unknown")  # fmt: skip
    sys.stdout.flush()
