"""Which kinds of figures come back when text is read aloud and written again.

    python tools/bench/written_kinds.py --shared ../shared --half tune --errors 10
    python tools/bench/written_kinds.py --shared ../shared --half report

Sentences of texts that have figures go through `to_spoken` and `to_written`; each figure is put
into the first kind that its surroundings fit, and is back when it stands there again exactly, or
with the same value (1500 for 1,500, 7000만 for 7천만). Our own reading is no independent oracle,
and sentences with Latin letters are left out. Rules were made on the half `tune`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).parent))

from written import FIGURE, HALVES, MOST, plain_figure, read_texts, share  # noqa: E402

from asr.hangul.normalize import scoring_text, to_spoken  # noqa: E402
from asr.written import to_written  # noqa: E402

_NATIVE = "명|개|살|시간|마리|잔|병|장|권|곡|팀|골|척|채|대|건|가지|곳|배|달|사람|번째|번"
_SINO = (
    "층|호선|학년|반|호|동|개월|주|주일|주년|세기|세|위|등|차|급|인분|인|편|점|회|부|부작|탄|화|기|박"
    "|단계|페이지|쪽|개국|강|도|교시|학기|승|패|종|단|조|항|과|막|집|군|형|심|선"
)
_KINDS = (
    ("telephone and codes", r"\d{2,4}-\d{3,4}-\d{4}|1[568]\d\d-\d{4}", ""),
    ("date with signs", r"\d{2,4}[./-]\d{1,2}[./-]\d{1,2}|\d{1,2}·\d{1,2}", ""),
    ("clock with colon", r"\d{1,2}:\d\d", ""),
    ("range", r"-?[\d,.]+[~-][\d,.]+.*", ""),
    ("percent", r".*%p?", ""),
    ("unit in letters", r".*[A-Za-z℃㎞㎡][23]?", ""),
    ("decimal", r"-?[\d,]+\.\d+", ""),
    ("year", r"\d+", r" ?년(?!간|차|생|째|마다|[가-힣]?동안|[가-힣]? ?전)"),
    ("years long", r"\d+", r" ?(?:여 ?)?년"),
    ("month", r"\d+", r" ?월"),
    ("day", r"\d+", r" ?(?:여 ?)?일"),
    ("hour", r"\d+", r" ?시(?!간)"),
    ("minute, second", r"\d+", r" ?[분초]"),
    ("money", r".*", r" ?(?:여 ?)?(?:원|달러|유로|엔|위안|불|프로)"),
    ("much (만, 억, 천)", r".*[천만억조경].*", ""),
    ("score", r"\d+", r" ?대 ?\d"),
    ("fraction", r"\d+", r"분의"),
    ("native 1", r"1", rf" ?(?:{_NATIVE})"),
    ("native 2-4", r"[234]", rf" ?(?:{_NATIVE})"),
    ("native 5-10", r"[5-9]|10", rf" ?(?:{_NATIVE})"),
    ("native more", r"[\d,]+", rf" ?(?:여 ?)?(?:{_NATIVE})"),
    ("Sino digit", r"\d", rf" ?(?:{_SINO})"),
    ("Sino more", r"[\d,]+", rf" ?(?:여 ?)?(?:{_SINO})"),
    ("other word after", r"[\d,]+", r" ?[가-힣]{2}"),
    ("alone", r".*", ""),
)
_PATTERNS = [(name, re.compile(own), re.compile(next_)) for name, own, next_ in _KINDS]
_SCALES = {"천": 1000, "만": 10**4, "억": 10**8, "조": 10**12, "경": 10**16}


@dataclass
class Kind:
    """Figures of a kind: how many there were, came back, came back in value, and the others."""

    there: int = 0
    exact: int = 0
    same_value: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


def kind_of(figure: str, after: str, before: str) -> str:
    """The kind of a figure by what it is and what stands around it."""
    if re.search(r"\d ?대 ?$", before):
        return "score"
    if before.endswith("분의 "):
        return "fraction"
    if before.endswith("제") and figure.isdecimal():
        return "ordinal (제)"
    for name, own, following in _PATTERNS:
        if own.fullmatch(figure) and following.match(after):
            return name
    raise AssertionError(figure)


def value_of(figure: str) -> str:
    """The figure without commas, and 만, 억 … multiplied out, so that equal amounts are equal."""
    plain = figure.replace(",", "")
    if not any(scale in plain for scale in _SCALES):
        return plain
    total, group = 0.0, 0.0
    for number, scales in re.findall(r"([\d.]+)([천만억조경]*)", plain):
        try:
            group += float(number)
        except ValueError:
            return plain
        for scale in scales:
            if scale == "천":
                group *= 1000
            else:
                total, group = total + group * _SCALES[scale], 0.0
    rest = re.sub(r"[\d.천만억조경]", "", plain)
    return f"{total + group:g}{rest}"


def located(text: str) -> Iterator[tuple[str, int, int]]:
    """Each figure and where it stands."""
    for match in FIGURE.finditer(text):
        yield plain_figure(match[0]), match.start(), match.end()


def back(wanted: Sequence[str], got: Sequence[str]) -> set[int]:
    """Indices of ``wanted`` in the longest run of blocks that both have in order."""
    blocks = SequenceMatcher(None, wanted, got, autojunk=False).get_matching_blocks()
    return {block.a + step for block in blocks for step in range(block.size)}


def add_sentence(sentence: str, kinds: dict[str, Kind]) -> None:
    """Count the figures of a sentence that come back."""
    spoken = scoring_text(to_spoken(sentence))
    ours = to_written(spoken)
    wanted = list(located(sentence))
    names = [figure for figure, _, _ in wanted]
    got = [figure for figure, _, _ in located(ours)]
    exact = back(names, got)
    same = back([value_of(name) for name in names], [value_of(name) for name in got])
    for index, (figure, start, end) in enumerate(wanted):
        kind = kinds[kind_of(figure, sentence[end:], sentence[:start])]
        kind.there += 1
        kind.exact += index in exact
        kind.same_value += index in same | exact
        if index not in same | exact:
            following = re.match(r" ?[가-힣]{0,2}", sentence[end:])
            form = re.sub(r"\d{2,}", "N", figure) + (following[0] if following else "")
            kind.lost[form] += 1
            kind.examples.setdefault(form, f"{sentence}\n        {ours}")


def report(kinds: dict[str, Kind], errors: int) -> None:
    """Print a row a kind, and the forms that were lost most often."""
    print("| kind | figures | exact | same value |\n|---|---|---|---|")
    for name, kind in sorted(kinds.items(), key=lambda item: -item[1].there):
        print(f"| {name} | {kind.there} | {kind.exact / kind.there:.1%} |"
              f" {kind.same_value / kind.there:.1%} |")
    there = sum(kind.there for kind in kinds.values())
    exact = sum(kind.exact for kind in kinds.values())
    same = sum(kind.same_value for kind in kinds.values())
    print(f"all: exact {share(exact, there)}, same value {share(same, there)}")
    for name, kind in sorted(kinds.items(), key=lambda item: -item[1].lost.total()):
        if errors and kind.lost:
            print(f"{name}: {kind.lost.total()} lost")
        for form, count in kind.lost.most_common(errors):
            print(f"  {count:4} {form}\n        {kind.examples[form]}")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--half", choices=HALVES, default="tune")
    parser.add_argument("--most", type=int, default=MOST, metavar="N", help="sentences of a text")
    parser.add_argument("--errors", type=int, default=0, metavar="N", help="forms to show a kind")
    args = parser.parse_args()
    kinds: dict[str, Kind] = defaultdict(Kind)
    for _, sentences in read_texts(args.shared / "text", args.half, args.most):
        for sentence in sentences:
            if re.search(r"\d", sentence) and not re.search("[A-Za-z]", sentence):
                add_sentence(sentence, kinds)
    report(kinds, args.errors)
    return 0


if __name__ == "__main__":
    sys.exit(main())
