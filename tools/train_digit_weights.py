"""Train which small numbers before counters are written in digits: asr/written/data/*_weights.tsv.

    python tools/train_digit_weights.py --shared ../shared

Where a writer has put "1등", a reader says 일등; where he has put 일등, that was another word or a
number that he spelled out. Both are collected from texts with what stands around them, and an
L1 logistic regression over `asr.written.likelihood.features` tells one from the other. The same is
learnt of native numbers from two to ten before counters that take no others (세가지, 두 배); before
번, 장 or 대 they are left out (1번 is 한번 or 일번). Recognisers put spaces where writers of digits
have none, so each Sino-Korean digit is seen with a space before its counter, too; of native numbers
the space tells how the writer put them, and stays. Weights are learnt from the half `tune` of the
texts, see tools/bench/written.py; with `--check` the other half says what they are worth.
"""

from __future__ import annotations

import argparse
import lzma
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.hangul.numerals import NATIVE_ONES_ATTRIBUTIVE, SINO_DIGITS  # noqa: E402
from asr.written.likelihood import SURE, Candidate, features  # noqa: E402
from asr.written.tables import counters  # noqa: E402
from asr.written.tails import tail_end  # noqa: E402

DATA = ROOT / "asr" / "written" / "data"
TEXTS = {
    "boddari_wikinews": 1.0, "klue_dev": 1.0, "ud_korean": 1.0, "boddari_book_review01": 1.0,
    "boddari_book_review02": 1.0, "boddari_fairytale01": 1.0, "chatbot_qa": 1.0,
    "nsmc_movie_reviews": 0.2,
}  # fmt: skip
"""Weight of a sentence: of film reviews there are most, and they count parts and points."""
NATIVE_BELOW = 100
NATIVE_COUNTERS = (
    "명", "개", "살", "시간", "달", "배", "번째", "가지", "곳", "건", "마리", "골", "팀", "곡",
    "채", "척", "잔", "발", "군데", "칸", "자리", "차례", "글자",
)
"""Those that are counted with native numbers only."""
NATIVE = {str(n): word for n, word in enumerate((*NATIVE_ONES_ATTRIBUTIVE, "열")) if n > 1}
SPACED_WEIGHT = 0.2
"""Of a digit that is seen once more with a space, against the words that really have one."""
LEAST_SEEN = 6
"""Digits that a counter must have been seen with."""
INVERSE_PENALTY = 2.0
LEAST_WEIGHT = 0.03
HEADER = """\
# Weights of asr.written.likelihood: what stands around {what} and its counter, log-odds.
# Made by tools/train_digit_weights.py from: {texts} (half of the sentences).
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A candidate, whether its writer put a digit, and how much it counts."""

    candidate: Candidate
    digit: bool
    weight: float


def learnt_counters() -> list[str]:
    """Counters whose small numbers are Sino-Korean."""
    return sorted(
        (name for name, one in counters().items() if one.native_spaced > NATIVE_BELOW),
        key=lambda name: (-len(name), name),
    )


def candidates(
    text: str, weight: float, pattern: re.Pattern[str], native: bool
) -> Iterator[Seen]:
    """Digits and words of small numbers before counters."""
    for match in pattern.finditer(text):
        end = tail_end(text, match.end())
        if end is None:
            continue
        before, after = _words(text[: match.start()])[-1:], _words(text[end:])[:1]
        written = match["digit"].isdecimal()
        digit = match["digit"]
        if written:
            digit = NATIVE[digit] if native else SINO_DIGITS[int(digit)]
        one = Candidate(
            digit, match["counter"], not match["gap"], text[match.end() : end],
            "".join(before), "".join(after),
        )  # fmt: skip
        yield Seen(one, written, weight)
        if written and one.attached and not native:
            yield Seen(replace(one, attached=False), True, weight * SPACED_WEIGHT)


def _words(text: str) -> list[str]:
    return re.findall(r"[가-힣\dA-Za-z]+", text)


def sino_pattern() -> re.Pattern[str]:
    """A single Sino-Korean digit, in words or not, and a counter."""
    digit = rf"(?<![\d.,~/:\-])[1-9]|(?<!\d)[{SINO_DIGITS[1:]}]"
    return _pattern(digit, learnt_counters())


def native_pattern() -> re.Pattern[str]:
    """The same of a native number from two to ten."""
    longest_first = sorted(NATIVE_COUNTERS, key=len, reverse=True)
    return _pattern(rf"(?<![\d.,~/:\-])(?:10|[2-9])|{'|'.join(NATIVE.values())}", longest_first)


def read(folder: Path, half: int, native: bool) -> list[Seen]:
    """All of a half, of native numbers or of Sino-Korean digits."""
    pattern = native_pattern() if native else sino_pattern()
    found: list[Seen] = []
    for name, weight in TEXTS.items():
        with lzma.open(folder / f"{name}.txt.xz", "rt", encoding="utf-8") as lines:
            for line in lines:
                sentence = line.strip()
                if zlib.crc32(sentence.encode()) % 2 == half:
                    found += candidates(sentence, weight, pattern, native)
    digits = Counter(one.candidate.counter for one in found if one.digit)
    return [one for one in found if digits[one.candidate.counter] >= LEAST_SEEN]


def _pattern(digit: str, names: list[str]) -> re.Pattern[str]:
    counter = "|".join(map(re.escape, names))
    return re.compile(rf"(?<![가-힣A-Za-z])(?P<digit>{digit})(?P<gap> ?)(?P<counter>{counter})")


def train(seen: list[Seen]) -> dict[str, float]:
    """Weights by feature."""
    vectors = DictVectorizer()
    inputs = vectors.fit_transform([dict.fromkeys(features(one.candidate), 1.0) for one in seen])
    for name in ("indices", "indptr"):  # liblinear takes no others
        setattr(inputs, name, getattr(inputs, name).astype(np.int32))
    model = LogisticRegression(
        solver="liblinear", l1_ratio=1.0, C=INVERSE_PENALTY, fit_intercept=False, max_iter=300
    )
    model.fit(inputs, [one.digit for one in seen], [one.weight for one in seen])
    weights = dict(zip(vectors.get_feature_names_out(), model.coef_[0], strict=True))
    heads = {"*" + one.candidate.counter for one in seen}
    return {
        name: round(float(weight), 2)
        for name, weight in sorted(weights.items())
        if abs(weight) >= LEAST_WEIGHT or name in heads
    }


def check(seen: list[Seen], weights: dict[str, float]) -> None:
    """Print how many digits of another half are found, and how many words taken for digits."""
    heads = [one for one in seen if "*" + one.candidate.counter in weights]
    odds = np.array([sum(weights.get(n, 0.0) for n in features(one.candidate)) for one in heads])
    digit = np.array([one.digit for one in heads])
    attached = np.array([one.candidate.attached for one in heads])
    for name, chosen in (("attached", attached), ("spaced", ~attached)):
        for sure in (0.0, SURE, 2.0):
            found = odds[chosen] > sure
            print(f"{name} > {sure}: digits found {found[digit[chosen]].mean():.2%} of"
                  f" {digit[chosen].sum()}, words taken {found[~digit[chosen]].mean():.2%} of"
                  f" {(~digit[chosen]).sum()}")


def main() -> int:
    """Train, write, and print what the other half says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--output", type=Path, default=DATA, help="folder")
    parser.add_argument("--check", action="store_true", help="ask the other half")
    args = parser.parse_args()
    for name, what in (("digit", "a Sino-Korean digit"), ("native", "a native number")):
        native = name == "native"
        weights = train(read(args.shared / "text", 0, native))
        rows = "".join(f"{name}\t{weight:g}\n" for name, weight in weights.items())
        header = HEADER.format(what=what, texts=", ".join(TEXTS))
        (args.output / f"{name}_weights.tsv").write_text(header + rows, encoding="utf-8")
        print(f"{name}: {len(weights)} weights")
        if args.check:
            check(read(args.shared / "text", 1, native), weights)
    return 0


if __name__ == "__main__":
    sys.exit(main())
