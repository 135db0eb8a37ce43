"""Train asr/hangul/data/junction_weights.tsv from a table of spellings and pronunciations.

    python tools/train_junction_weights.py [--table FILE] [--output FILE]

The table has the columns spelling, pronunciation, structure (parts joined by '-'), as
../shared/refs/stdict_pronunciations.tsv.xz. For each reading other than the plain one, an L1
logistic regression over `asr.hangul.context.features` tells it from the plain reading; each word
is seen with and without its structure, and once more with a particle or an ending so that running
text is read as well as headwords. tools/bench/pronunciation.py measures on words left out.
"""

from __future__ import annotations

import argparse
import lzma
import random
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.hangul.context import features  # noqa: E402
from asr.hangul.jamo import CODAS, NUCLEI, ONSETS, compose, decompose  # noqa: E402
from asr.hangul.junction import SURFACE_CODAS, Reading, readings  # noqa: E402

DEFAULT_TABLE = ROOT.parent / "shared" / "refs" / "stdict_pronunciations.tsv.xz"
DEFAULT_OUTPUT = ROOT / "asr" / "hangul" / "data" / "junction_weights.tsv"

PENALTY = 0.6
"""L1 penalty on a weight, in nats of training log-likelihood."""
INFLECTED_WEIGHT = 0.7
SHORT_WEIGHT = 1.5
"""How much a made-up inflected form counts against a dictionary word: little, but more when its
stem is one syllable, for these are few, common, and easily mistaken (살고, 말도)."""
FORMS = {2: 8, 3: 3}
"""Inflected forms made of a longer word, by its syllables; 2 if it has more."""
EPOCHS = 25

AFTER_VOWEL = (
    "는 가 를 와 에 의 도 만 로 에서 까지 부터 처럼 보다 라고 였다 들 입니다 밖에 인 대로 "
    "조차 마저 한테 하고 죠 나 야 지 랑 요"
)
AFTER_CODA = (
    "은 이 을 과 에 의 도 만 으로 에서 까지 부터 처럼 보다 이라고 이었다 들 입니다 이다 인 대로 "
    "조차 마저 한테 하고 이죠 이나 이야 이지 인지 이며 이에요 이라는 이네 이랑 으론"
)
ENDINGS = "고 지 게 던 더라 거나 도록 지만 는 기 자 다가 잖아 거든 네"
VOWEL_STEM_ENDINGS = "세요 시는 십니다 면 려고 니까 나요 도 서 요"
DO_FORMS = "하고 하는 하지 한 할 합니다 했다 해서 하면 하게"

HEADER = """\
# Weights of asr.hangul.context: context feature, reading, log-odds against the plain reading.
# Learned by tools/train_junction_weights.py from the pronunciations of 표준국어대사전 (Standard
# Korean Language Dictionary), National Institute of Korean Language, https://stdict.korean.go.kr,
# licence CC BY-SA 2.0 KR: this table is a derived work under the same licence. See NOTICE.md.
"""


@dataclass(frozen=True)
class Example:
    names: list[str]
    label: bool
    weight: float


def fold(spelling: str) -> int:
    """The tenth of the words that a spelling belongs to."""
    return zlib.crc32(spelling.encode()) % 10


def read_words(path: Path) -> list[tuple[str, str, list[str]]]:
    """(spelling, pronunciation, parts) of every word, one syllable for each syllable."""
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines][1:]
    return [(row[0], row[1], row[2].split("-")) for row in rows if len(row[0]) == len(row[1])]


def true_readings(word: str, pronunciation: str) -> list[Reading | None]:
    """The reading of each junction of a word; None when the table knows no such surface."""
    found: list[Reading | None] = []
    for position in range(len(word) - 1):
        said = decompose(pronunciation[position])[2], decompose(pronunciation[position + 1])[0]
        truth = [reading for reading, pair in options(word, position).items() if pair == said]
        found.append(truth[0] if truth else None)
    return found


def options(word: str, position: int) -> dict[Reading, tuple[int, int]]:
    """Readings of a junction, as indices into CODAS and ONSETS."""
    onset, nucleus, _ = decompose(word[position + 1])
    pairs = readings(decompose(word[position])[2], onset, nucleus)
    return {
        reading: (CODAS.index(SURFACE_CODAS[left]), right)
        for reading, (left, right) in pairs.items()
    }


def inflect(word: str, truth: list[Reading | None]) -> list[tuple[str, list[Reading | None]]]:
    """Forms of a headword in running text, each with the readings of its junctions."""
    if word.endswith("하다"):
        return [_form(word[:-2], truth, form) for form in DO_FORMS.split()]
    if word.endswith("다") and len(word) > 1:
        return list(_verb_forms(word[:-1], truth))
    coda = CODAS[decompose(word[-1])[2]]
    if word[-1] in "이히게로" or coda in ("ㄺ", "ㄼ", "ㄻ", "ㄳ", "ㄽ", "ㅄ"):
        return []
    return [_form(word, truth, form) for form in (AFTER_CODA if coda else AFTER_VOWEL).split()]


def _verb_forms(
    stem: str, truth: list[Reading | None]
) -> Iterator[tuple[str, list[Reading | None]]]:
    onset, nucleus, coda_index = decompose(stem[-1])
    coda = CODAS[coda_index]
    for ending in ENDINGS.split():
        if coda in ("ㄴ", "ㅁ") and ending == "기":  # 숨기: of 숨다 tense, of 숨기다 not
            continue
        tensed = coda in ("ㄴ", "ㅁ") and ONSETS[decompose(ending[0])[0]] in "ㄱㄷㅅㅈ"
        yield _form(stem, truth, ending, Reading.TENSE if tensed else Reading.PLAIN)
    if coda not in ("", "ㄹ", "ㅎ"):
        vowel = "아" if NUCLEI[nucleus] in "ㅏㅗ" else "어"
        for ending in (vowel + "요", vowel + "서", "으면", "은", "을", "음"):
            yield _form(stem, truth, ending)
        past = compose(*decompose(vowel)[:2], CODAS.index("ㅆ"))
        yield _form(stem, truth, past + "다")
    if coda not in ("", "ㄹ"):
        return
    for fused, ending in (("ㄴ", "다"), ("ㄴ", ""), ("ㄹ", ""), ("ㄹ", "까"), ("ㅂ", "니다")):
        yield _form(stem[:-1] + compose(onset, nucleus, CODAS.index(fused)), truth, ending)
    for ending in VOWEL_STEM_ENDINGS.split():
        yield _form(stem, truth, ending)
    if coda == "" and NUCLEI[nucleus] == "ㅣ":
        past = compose(onset, NUCLEI.index("ㅕ"), CODAS.index("ㅆ"))
        yield _form(stem[:-1] + past, truth, "다")
        yield _form(stem[:-1] + past, truth, "어요")
        joined = stem[:-1] + compose(onset, NUCLEI.index("ㅕ"))
        for ending in ("", "서", "요", "야"):
            yield _form(joined, truth, ending)


def _form(
    stem: str, truth: list[Reading | None], ending: str, after_stem: Reading = Reading.PLAIN
) -> tuple[str, list[Reading | None]]:
    known = truth[: max(len(stem) - 1, 0)]
    at_ending = [after_stem] if stem and ending else []
    return stem + ending, [*known, *at_ending, *[Reading.PLAIN] * (len(ending) - 1)]


def examples(words: list[tuple[str, str, list[str]]]) -> dict[Reading, list[Example]]:
    """Training examples of each reading against the plain one."""
    rng = random.Random(0)
    found: dict[Reading, list[Example]] = defaultdict(list)
    for word, pronunciation, parts in words:
        truth = true_readings(word, pronunciation)
        for seen_parts in (None, parts):
            _add(found, word, seen_parts, truth, 1.0)
        forms = inflect(word, truth)
        short = len(word.removesuffix("다")) < 2
        weight = SHORT_WEIGHT if short else INFLECTED_WEIGHT
        count = len(forms) if short else min(len(forms), FORMS.get(len(word), 2))
        for form, form_truth in rng.sample(forms, count):
            _add(found, form, None, form_truth, weight)
    return found


def _add(
    found: dict[Reading, list[Example]],
    word: str,
    parts: list[str] | None,
    truth: list[Reading | None],
    weight: float,
) -> None:
    for position, said in enumerate(truth):
        possible = list(options(word, position))
        if len(possible) == 1:
            continue
        names = features(word, position, parts)
        for reading in possible[1:]:
            if said in (Reading.PLAIN, reading):
                found[reading].append(Example(names, said is reading, weight))


def fit(data: list[Example]) -> dict[str, float]:
    """Weights of the L1 logistic regression over one reading's examples."""
    support: dict[str, float] = defaultdict(float)
    for example in data:
        for name in example.names:
            support[name] += example.weight
    # The gradient on a rarer feature never exceeds the penalty: its weight stays 0.
    columns = {name: index for index, name in enumerate(n for n in support if support[n] > PENALTY)}
    members: list[list[int]] = [[] for _ in columns]
    for row, example in enumerate(data):
        for name in example.names:
            if name in columns:
                members[columns[name]].append(row)
    starts = np.cumsum([0, *map(len, members)])
    rows = np.fromiter((row for member in members for row in member), np.int32, starts[-1])
    labels = np.array([example.label for example in data], np.float64)
    sample_weights = np.array([example.weight for example in data])
    values = _coordinate_descent(rows, starts, labels, sample_weights, PENALTY, EPOCHS)
    return {name: float(values[index]) for name, index in columns.items()}


@numba.njit(cache=True)
def _coordinate_descent(rows, starts, labels, sample_weights, penalty, epochs):  # type: ignore
    """Genkin, Lewis, Madigan (2007), "Large-scale Bayesian logistic regression": CLG."""
    weights = np.zeros(len(starts) - 1)
    trust = np.ones(len(weights))
    margins = np.zeros(len(labels))
    for _ in range(epochs):
        for j in range(len(weights)):
            gradient, curvature = 0.0, 1e-6
            for k in range(starts[j], starts[j + 1]):
                i = rows[k]
                p = 1.0 / (1.0 + np.exp(-margins[i]))
                gradient += sample_weights[i] * (p - labels[i])
                curvature += sample_weights[i] * p * (1.0 - p)
            target = weights[j] - gradient / curvature
            shrunk = max(abs(target) - penalty / curvature, 0.0)
            step = (shrunk if target > 0 else -shrunk) - weights[j]
            step = min(max(step, -trust[j]), trust[j])
            trust[j] = max(2.0 * abs(step), trust[j] / 2.0)
            if step != 0.0:
                weights[j] += step
                for k in range(starts[j], starts[j + 1]):
                    margins[rows[k]] += step
    return weights


def rows_of(weights: dict[Reading, dict[str, float]]) -> list[tuple[str, str, str]]:
    """Rows of the table: feature, reading, log-odds rounded as written."""
    return [
        (name, reading.value, f"{value:.1f}")
        for reading, values in sorted(weights.items())
        for name, value in sorted(values.items())
        if abs(value) >= 0.05
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=DEFAULT_TABLE)
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    arguments = parser.parse_args()
    weights = {
        reading: fit(found) for reading, found in examples(read_words(arguments.table)).items()
    }
    rows = rows_of(weights)
    lines = ["\t".join(row) + "\n" for row in rows]
    arguments.output.write_text(HEADER + "".join(lines), encoding="utf-8")
    print(f"{len(rows)} weights in {arguments.output}")


if __name__ == "__main__":
    main()
