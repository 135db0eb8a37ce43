"""`asr lm-ppl`: how well a language model predicts texts."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr.lm.ngram import NgramModel, Perplexity

DESCRIPTION = """\
Print the perplexity of texts, a sentence a line in Hangul and spaces (--spoken turns other text
into such), plain or compressed (.gz, .xz). Figures per syllable and per jamo compare models of
different units. LM is a file of `asr train-lm`, or an ARPA file, also of SRILM or KenLM; where its
words have no mark "▁" they are taken for whole eojeol.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "lm-ppl", help="perplexity of texts by a language model", description=DESCRIPTION
    )
    parser.add_argument("lm", type=Path, metavar="LM", help="language model")
    parser.add_argument("text", type=Path, nargs="+", metavar="TEXT", help="texts")
    parser.add_argument("--spoken", action="store_true",
                        help="read numbers, Latin letters and signs of the texts aloud, split at"
                        " sentence ends, and leave out what cannot be read")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run(args: argparse.Namespace) -> int:
    """Score each text; and all of them together, if there are several."""
    from asr.cli.train_lm import sentences
    from asr.lm.binary import load_ngrams

    texts = [sentences(path, args.spoken) for path in args.text]
    model = load_ngrams(args.lm)
    results = [
        (str(path), model.perplexity(lines)) for path, lines in zip(args.text, texts, strict=True)
    ]
    if len(results) > 1:
        results.append(("all", sum((result for _, result in results[1:]), results[0][1])))
    if args.json:
        print(json.dumps(_as_json(args.lm, model, results), ensure_ascii=False, indent=2))
    else:
        for name, result in results:
            _show(name, result)
    return 0


def _show(name: str, result: Perplexity) -> None:
    print(f"{name}\tperplexity {result.per_unit:.2f} a unit, {result.per_syllable:.2f} a syllable,"
          f" {result.per_jamo:.4f} a jamo ({result.bits_per_jamo:.4f} bits);"
          f" {result.sentences} sentences, {result.tokens} units,"
          f" {result.unknown} unknown")  # fmt: skip
    if result.unknown:
        print(f"{name}\twithout the unknown units: perplexity {result.per_known_unit:.2f} a unit")
    hits = (f"{n}-grams {100 * hit / result.tokens:.1f}%" for n, hit in enumerate(result.hits, 1))
    print(f"{name}\tunits scored by {', '.join(hits)}")


def _as_json(
    lm: Path, model: NgramModel, results: list[tuple[str, Perplexity]]
) -> dict[str, Any]:
    return {
        "lm": str(lm),
        "order": model.order,
        "ngrams": [len(table) for table in model.orders],
        "units": len(model.vocabulary),
        "texts": [{"name": name, **_figures(result)} for name, result in results],
    }


def _figures(result: Perplexity) -> dict[str, Any]:
    return {
        "sentences": result.sentences,
        "tokens": result.tokens,
        "unknown": result.unknown,
        "syllables": result.syllables,
        "jamo": result.jamo,
        "log10_probability": result.logp / math.log(10.0),
        "perplexity_per_unit": result.per_unit,
        "perplexity_per_known_unit": result.per_known_unit,
        "perplexity_per_syllable": result.per_syllable,
        "perplexity_per_jamo": result.per_jamo,
        "bits_per_unit": math.log2(result.per_unit),
        "bits_per_syllable": math.log2(result.per_syllable),
        "bits_per_jamo": result.bits_per_jamo,
        "hits": list(result.hits),
    }
