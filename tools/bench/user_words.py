#!/usr/bin/env python3
"""How well listed words are recognised, and how often they are put where they were not said.

    python tools/bench/user_words.py --root ../shared/speech --split test \\
        --names ../shared/text/entities.tsv.xz

Real speech: the rarest nouns of the split (by the language model, particles taken off) are listed
alone, among 500 and among 10,000 names, and all of the split is recognised. Recall counts their
occurrences, spaces aside; false insertions count listed words that begin a recognised eojeol and do
not occur in the reference. With ``--synthetic N``: N station names in carrier sentences, said by
eSpeak NG's formant voice (pip install espeakng-loader), which no recogniser is made for.
``--unseen TEXT ...`` takes only names that do not occur in these files.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import lzma
import os
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # read when torch, numba and the BLAS are first imported

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from asr.audio import from_array, load_audio  # noqa: E402
from asr.data import CORPUS_FOLDERS, load_split  # noqa: E402
from asr.errors import AsrError, DataError  # noqa: E402
from asr.graph.bias import BiasConfig, build_bias, score_syllables  # noqa: E402
from asr.graph.bias_words import make_words  # noqa: E402
from asr.hangul.jamo import CODAS, decompose  # noqa: E402
from asr.hangul.normalize import scoring_text, to_spoken  # noqa: E402
from asr.lm.automaton import LmAutomaton  # noqa: E402
from asr.recognizer import Model, load  # noqa: E402
from asr.score import score  # noqa: E402

SHORTEST = 3
"""Syllables of a word that is taken."""
AFTER_CODA = ("은", "이", "을", "과", "으로", "이라는", "이라고", "이란", "이나", "이랑")
AFTER_VOWEL = ("는", "가", "를", "와", "로", "라는", "라고", "란", "나", "랑")
AFTER_ALL = (
    "에", "의", "도", "만", "에서", "에게", "까지", "부터", "에는", "에도", "에서는", "처럼",
    "보다", "하고", "께서", "마다", "조차", "들이", "들은", "들을", "들의",
)  # fmt: skip
NO_NOUN = re.compile(
    "(으|하|되|시|오|만|까지|부터|면서|면|뿐|같|셔|가|다|니다|듯|거|걸|라|럽|날|자|서|고|럼|한테|등)$"
)
"""What ends like this, after a particle was taken off, is hardly a noun."""
CARRIERS = (
    "{}까지 얼마나 걸리나요",
    "지금 {}에서 내려 주세요",
    "내일 아침에 {} 앞에서 만나요",
    "{}에 가는 길을 알려 줘",
    "이번 역은 {}입니다",
)


@dataclass(frozen=True)
class Spoken:
    """Sound and what is said in it, in the alphabet of scoring."""

    reference: str
    samples: NDArray[np.float32]
    seconds: float


@dataclass
class Tally:
    """What one list of words did."""

    name: str
    words: list[str]
    build_s: float = 0.0
    wall_s: float = 0.0
    said: int = 0
    heard: int = 0
    false: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def row(self, references: Sequence[str], seconds: float) -> dict[str, Any]:
        report = score(list(references), self.texts)
        return {
            "list": self.name,
            "words": len(self.words),
            "said": self.said,
            "heard": self.heard,
            "recall": self.heard / max(1, self.said),
            "false": len(self.false),
            "false_in_30_min": len(self.false) * 1800 / seconds,
            "falsely_heard": sorted(set(self.false)),
            "cer": report.cer.rate,
            "build_s": self.build_s,
            "rtf": self.wall_s / seconds,
        }


def rare_nouns(references: Sequence[str], lm: LmAutomaton, count: int) -> list[str]:
    """The ``count`` eojeol of the references, less their particles, that the model knows least."""
    found = {stem for text in references for eojeol in text.split() if (stem := noun(eojeol))}
    return rarest(sorted(found), lm, count)


def rarest(words: Sequence[str], lm: LmAutomaton, count: int) -> list[str]:
    lengths = [len(word) for word in words]
    begin = np.cumsum([0, *lengths])[:-1]
    totals = np.add.reduceat(score_syllables(words, lm), begin)
    return [words[i] for i in np.argsort(totals, kind="stable")[:count]]


def noun(eojeol: str) -> str | None:
    """What stands before a particle, if it looks like a noun of Hangul."""
    particles = sorted((*AFTER_CODA, *AFTER_VOWEL, *AFTER_ALL), key=len, reverse=True)
    for particle in particles:
        stem = eojeol.removesuffix(particle)
        if stem == eojeol or len(stem) < SHORTEST or not re.fullmatch("[가-힣]+", stem):
            continue
        coda = CODAS[decompose(stem[-1])[2]]
        fits = AFTER_CODA if coda and not (coda == "ㄹ" and particle == "로") else AFTER_VOWEL
        if particle in AFTER_ALL or particle in fits:
            return None if NO_NOUN.search(stem) else stem
    return None


def read_names(path: Path, unseen: Sequence[Path]) -> dict[str, list[str]]:
    """Names of 3 to 8 syllables by kind, which occur in none of the texts ``unseen``."""
    seen = "\n".join(text.read_text(encoding="utf-8") for text in unseen)
    names: dict[str, list[str]] = {}
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            kind, name, *_ = line.rstrip("\n").split("\t")
            if re.fullmatch(f"[가-힣]{{{SHORTEST},8}}", name) and name not in seen:
                names.setdefault(kind, []).append(name)
    return names


def word_lists(
    targets: list[str], names: dict[str, list[str]], sizes: Sequence[int]
) -> list[tuple[str, list[str]]]:
    """No list, the targets alone, and filled up with names (stations first) to each size."""
    rng = random.Random(1)
    pool = []
    for kind in sorted(names, key=lambda kind: kind != "station"):
        rng.shuffle(names[kind])
        pool += names[kind]
    others = [name for name in dict.fromkeys(pool) if name not in set(targets)]
    lists = [("none", []), ("the words alone", targets)]
    for size in sizes:
        if size > len(targets) + len(others):
            raise DataError(f"there are no {size} names; give a smaller --lists")
        lists.append((f"among {size:,}", targets + others[: size - len(targets)]))
    return lists


def with_config(model: Model, config: BiasConfig) -> Model:
    """The model with other boosts than it has by itself."""
    return model.with_options(bias=config)


def run(
    model: Model, sounds: Iterator[Spoken], targets: list[str], lists: list[tuple[str, list[str]]]
) -> list[dict[str, Any]]:
    """Recognise everything under every list."""
    tallies = [Tally(name, words) for name, words in lists]
    models = [prepared(model, tally) for tally in tallies]
    listed = [set(tally.words or tallies[-1].words) for tally in tallies]
    references: list[str] = []
    seconds = 0.0
    for sound in sounds:
        if not references:
            for each in models:  # compiles, and builds what is built once
                each.transcribe(sound.samples, sample_rate=model.sample_rate)
        references.append(sound.reference)
        seconds += sound.seconds
        for tally, each, words in zip(tallies, models, listed, strict=True):
            begin = time.perf_counter()
            text = each.transcribe(sound.samples, sample_rate=model.sample_rate).text
            tally.wall_s += time.perf_counter() - begin
            tally.texts.append(text)
            _count(tally, targets, words, sound.reference, text)
    return [tally.row(references, seconds) for tally in tallies]


def prepared(model: Model, tally: Tally) -> Model:
    """The model with the words of a list; notes the seconds that it takes to build them."""
    if not tally.words:
        return model
    scale, config = model.decoder_config.lm_scale, model.bias
    build_bias(make_words(tally.words[:1]), model.decoder.lm, config, scale)  # compiles
    begin = time.perf_counter()
    build_bias(make_words(tally.words), model.decoder.lm, config, scale)
    tally.build_s = time.perf_counter() - begin
    return model.add_words(tally.words)


def _count(tally: Tally, targets: list[str], words: set[str], reference: str, text: str) -> None:
    said, heard = reference.replace(" ", ""), text.replace(" ", "")
    for word in targets:
        tally.said += said.count(word)
        tally.heard += min(said.count(word), heard.count(word))
    for eojeol in text.split():
        longest = next((eojeol[:k] for k in range(len(eojeol), 0, -1) if eojeol[:k] in words), None)
        if longest is not None and longest not in said:
            tally.false.append(longest)


def real_speech(args: argparse.Namespace, model: Model) -> tuple[list[str], Iterator[Spoken]]:
    """The rarest nouns of the corpora's split, and its sound."""
    utterances = [
        u for corpus in args.corpus for u in load_split(args.root, corpus, args.split)[: args.limit]
    ]
    references = [scoring_text(to_spoken(u.transcript)) for u in utterances]

    def sounds() -> Iterator[Spoken]:
        for utterance, reference in zip(utterances, references, strict=True):
            samples = load_audio(utterance.audio, model.sample_rate).samples
            yield Spoken(reference, samples, len(samples) / model.sample_rate)

    return rare_nouns(references, model.decoder.lm, args.words), sounds()


def synthetic_speech(
    names: list[str], count: int, model: Model
) -> tuple[list[str], Iterator[Spoken]]:
    """The rarest names, each in a carrier sentence said by a synthesiser."""
    targets = rarest(names, model.decoder.lm, count)
    voice = Espeak()

    def sounds() -> Iterator[Spoken]:
        for index, name in enumerate(targets):
            sentence = CARRIERS[index % len(CARRIERS)].format(name)
            samples = from_array(voice.say(sentence), voice.rate, model.sample_rate).samples
            yield Spoken(sentence, samples, len(samples) / model.sample_rate)

    return targets, sounds()


class Espeak:
    """eSpeak NG's Korean voice through its C interface (speak_lib.h)."""

    _SYNCHRONOUS, _UTF8, _RATE, _AUDIO = 2, 1, 1, 1

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError:
            raise DataError(
                "--synthetic needs a synthesiser: pip install espeakng-loader"
            ) from None
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        path = str(Path(espeakng_loader.get_data_path()).parent).encode()
        self.rate = self._library.espeak_Initialize(self._SYNCHRONOUS, 0, path, 0)
        self._parts: list[NDArray[np.int16]] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._callback = kind(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)
        if self.rate <= 0 or self._library.espeak_SetVoiceByName(b"ko") != 0:
            raise DataError("eSpeak NG has no Korean voice; install espeakng-loader again")
        self._library.espeak_SetParameter(self._RATE, 150, 0)

    def _collect(self, samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str) -> NDArray[np.float32]:
        """Samples at :attr:`rate`: float32."""
        self._parts = []
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, self._UTF8, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate(self._parts).astype(np.float32) / np.float32(32768)


def show(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{title}")
    print(f"{'list':<18}{'recall':>16}{'false/30 min':>14}{'CER':>8}{'build s':>9}{'RTF':>7}")
    for row in rows:
        recall = f"{row['heard']}/{row['said']} {row['recall']:.1%}"
        print(
            f"{row['list']:<18}{recall:>16}{row['false_in_30_min']:>14.1f}{row['cer']:>8.2%}"
            f"{row['build_s']:>9.3f}{row['rtf']:>7.3f}"
        )
    sys.stdout.flush()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with splits.json")
    parser.add_argument("--names", type=Path, required=True, help="table of kind, TAB, name (.xz)")
    parser.add_argument(
        "--corpus", nargs="+", choices=sorted(CORPUS_FOLDERS), default=sorted(CORPUS_FOLDERS)
    )
    parser.add_argument("--split", choices=["train", "dev", "test"], default="dev")
    parser.add_argument("--words", type=int, default=100, help="rare words taken (default: 100)")
    parser.add_argument(
        "--lists",
        type=int,
        nargs="*",
        default=[500, 10_000],
        help="sizes that the list is filled up to (default: 500 10000)",
    )
    parser.add_argument(
        "--unseen",
        type=Path,
        nargs="*",
        default=[],
        metavar="TEXT",
        help="take only names that do not occur in these files",
    )
    parser.add_argument("--model", default="ko-kaldi", help="model name or bundle folder")
    parser.add_argument("--limit", type=int, help="only the first N utterances of each corpus")
    parser.add_argument(
        "--synthetic",
        type=int,
        default=0,
        metavar="N",
        help="also synthesise N station names in sentences",
    )
    parser.add_argument("--class-cost", type=float, default=BiasConfig().class_cost)
    parser.add_argument("--per-word", type=float, default=BiasConfig().per_word)
    parser.add_argument("--lookahead", type=float, default=BiasConfig().lookahead)
    parser.add_argument("--output", type=Path, help="write all figures as JSON")
    return parser.parse_args()


def benchmark(args: argparse.Namespace) -> None:
    config = BiasConfig(args.class_cost, args.per_word, lookahead=args.lookahead)
    model = with_config(load(args.model), config)
    names = read_names(args.names, args.unseen)
    results = {}
    targets, sounds = real_speech(args, model)
    rows = run(model, sounds, targets, word_lists(targets, names, args.lists))
    show(f"real speech, {' and '.join(args.corpus)} {args.split}: {len(targets)} rare words", rows)
    results["real"] = {"words": targets, "rows": rows}
    if args.synthetic:
        targets, sounds = synthetic_speech(names["station"], args.synthetic, model)
        lists = word_lists(targets, names, [n for n in args.lists if n > args.synthetic])
        rows = run(model, sounds, targets, lists)
        show(f"formant voice: {len(targets)} station names in carrier sentences", rows)
        results["synthetic"] = {"words": targets, "rows": rows}
    if args.output:
        text = json.dumps(results, ensure_ascii=False, indent=1)
        args.output.write_text(text + "\n", encoding="utf-8")


def main() -> int:
    try:
        benchmark(parse_arguments())
    except AsrError as error:
        print(f"user_words.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
