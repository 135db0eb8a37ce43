"""How well asr.written turns spoken Korean into written, beside nemo-text-processing.

    python tools/bench/written.py --shared ../shared --split train dev --half tune
    python tools/bench/written.py --shared ../shared --split test --half report

Three measures. (1) Of emotiontts, whose `script` is the written and `transcript` the spoken form:
how many figures of the script come out exactly, from the transcript without its punctuation.
(2) Of sentences without digits (of emotiontts and of texts): how many are changed at all, the
strict false-change rate; and how many of those at a place that a morphological analyser (kiwipiepy)
takes for no numeral, the others being quantities that the writer spelled out. (3) Of texts with
digits: how many figures come back from `to_spoken`, which is no independent oracle, but large.

The texts are split in halves by a checksum of each sentence: rules were made on the half `tune`.
kocer compares texts and writes none; it is asked whether what was written is read as it was said.
With `--model` measure (1) and (2) begin with sound: what the model hears is written.
"""

from __future__ import annotations

import argparse
import lzma
import re
import sys
import time
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from asr.data.corpora import Utterance, load_split  # noqa: E402
from asr.hangul.normalize import scoring_text, to_spoken  # noqa: E402
from asr.written import WrittenToken, to_written, written_tokens  # noqa: E402

Writer = Callable[[str], str]

TEXTS = (
    "boddari_wikinews", "klue_dev", "ud_korean", "boddari_book_review01", "boddari_book_review02",
    "boddari_fairytale01", "chatbot_qa", "nsmc_movie_reviews",
)  # fmt: skip
"""Texts that write numbers in digits where Koreans do; those of spoken intents never do."""
MOST = 20_000
"""Sentences of a text that are looked at."""
HALVES = {"tune": 0, "report": 1}
_FIGURE = re.compile(
    r"(?<![\d.,])-?\d[\d,.:·~/-]*(?: ?[천만억조경]+(?![가-힣]{2})(?: ?\d[\d,]*)?)*"
    r"(?: ?(?:%p|%|°?[A-Za-z]+[23]?))?"
)
_MARKS_AT_END = ".,:·~/-"
_NOT_SAID = re.compile(r"[^가-힣 ]+")


@dataclass
class Figures:
    """Figures of the reference, of them right, and those that should not be there."""

    reference: int = 0
    right: int = 0
    spurious: int = 0
    sentences: int = 0
    sentences_right: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, written: str, ours: str) -> None:
        """Compare the figures of two texts in order."""
        wanted, got = figures(written), figures(ours)
        right = longest_common(wanted, got)
        self.reference += len(wanted)
        self.right += right
        self.spurious += len(got) - right
        self.sentences += 1
        self.sentences_right += wanted == got
        if wanted != got:
            self.wrong.append(f"{written}\n      {ours}")


def figures(text: str) -> list[str]:
    """The numbers of a text with their signs, spaces inside them left out; km is ㎞."""
    plain = unicodedata.normalize("NFKC", text)
    return [
        match[0].replace(" ", "").rstrip(_MARKS_AT_END) for match in _FIGURE.finditer(plain)
    ]


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for item in one:
        diagonal = 0
        for place, candidate in enumerate(other, start=1):
            above = row[place]
            row[place] = diagonal + 1 if item == candidate else max(above, row[place - 1])
            diagonal = above
    return row[-1]


def measure_pairs(pairs: Sequence[tuple[str, str]], writer: Writer) -> Figures:
    """Figures of (written, spoken) pairs whose written form has digits."""
    found = Figures()
    for written, spoken in pairs:
        found.add(written, writer(spoken))
    return found


def measure_changes(sentences: Sequence[str], writer: Writer) -> list[tuple[str, str]]:
    """The sentences that are changed, and what became of them; spaces do not count."""
    pairs = ((sentence, writer(sentence)) for sentence in sentences)
    return [(said, out) for said, out in pairs if said.replace(" ", "") != out.replace(" ", "")]


@cache
def _analyser() -> object:
    from kiwipiepy import Kiwi

    return Kiwi()


def is_numeral(token: WrittenToken, sentence: str) -> bool:
    """Whether the analyser takes what a changed token begins with for a numeral, too."""
    start = len(" ".join(sentence.split()[: token.first])) + (token.first > 0)
    start += token.spoken.startswith("제") and not token.spoken.startswith("제일")
    for part in _analyser().tokenize(sentence):  # type: ignore[attr-defined]
        if part.start <= start < part.start + part.len:
            return part.tag in ("NR", "SN") or (part.tag == "MM" and part.form != "이")
    return False


def not_numbers(changed: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The changes of ours at places that the analyser takes for no numeral."""
    return [
        (said, out)
        for said, out in changed
        if not all(
            is_numeral(token, said) for token in written_tokens(said.split()) if token.changed
        )
    ]


def read_texts(folder: Path, half: str) -> Iterator[tuple[str, list[str]]]:
    """The sentences of each text that fall into a half."""
    for name in TEXTS:
        with lzma.open(folder / f"{name}.txt.xz", "rt", encoding="utf-8") as lines:
            sentences = (line.strip() for line in lines)
            chosen = (one for one in sentences if zlib.crc32(one.encode()) % 2 == HALVES[half])
            yield name, [one for one, _ in zip(chosen, range(MOST), strict=False)]


def heard(text: str) -> str:
    """What a recogniser would give for a text that needs no reading: Hangul and spaces."""
    return " ".join(_NOT_SAID.sub(" ", text).split())


def nemo() -> Writer | None:
    """The Korean inverse normaliser of nemo-text-processing, where it is installed.

    It knows the decimal point as 점 only, so it is given that for 쩜.
    """
    try:
        from nemo_text_processing.inverse_text_normalization.inverse_normalize import (
            InverseNormalizer,
        )
    except ImportError as error:
        print(f"nemo-text-processing is not measured: {error}")
        return None
    normaliser = InverseNormalizer(lang="ko")

    def write(text: str) -> str:
        asked = text.replace("쩜", "점")
        return str(normaliser.inverse_normalize(asked, verbose=False)) if text else ""

    return write


def same_reading(pairs: Sequence[tuple[str, str]], writer: Writer) -> str:
    """The share of sentences that kocer reads as they were said, after they were written."""
    try:
        import kocer
    except ImportError as error:
        return f"kocer is not asked: {error}"
    usual = str.maketrans("쩜쎈", "점센")  # as kocer spells them
    same = sum(kocer.cer(spoken.translate(usual), writer(spoken)) == 0 for _, spoken in pairs)
    return f"read by kocer as said  {share(same, len(pairs))}"


def share(part: int, whole: int) -> str:
    """A percentage with its counts."""
    return f"{part / whole if whole else 0:.2%} ({part}/{whole})"


def report_figures(name: str, found: Figures, errors: int) -> None:
    """Print what came out of pairs, and the first errors."""
    print(f"  {name:<10} figures exact {share(found.right, found.reference)}, spurious"
          f" {found.spurious}; sentences {share(found.sentences_right, found.sentences)}")
    for wrong in found.wrong[:errors]:
        print(f"    - {wrong}")


def report_changes(name: str, sentences: Sequence[str], writer: Writer, errors: int) -> None:
    """Print false-change rates, and the first changes."""
    changed = measure_changes(sentences, writer)
    line = f"  {name:<10} changed {share(len(changed), len(sentences))}"
    if writer is to_written:
        odd = not_numbers(changed)
        line += f", of them at no numeral {share(len(odd), len(sentences))}"
        changed = odd or changed
    print(line)
    for said, out in changed[:errors]:
        print(f"    - {said}\n      {out}")


def measure_corpus(args: argparse.Namespace, writers: dict[str, Writer]) -> None:
    """Measures (1) and (2) on emotiontts, each different sentence once."""
    utterances = [
        one
        for split in args.split
        for one in load_split(args.shared / "speech", "emotiontts", split)
    ]
    said = hear(args.model, utterances)
    distinct = dict.fromkeys(
        (one.script or "", spoken) for one, spoken in zip(utterances, said, strict=True)
    )
    pairs = [pair for pair in distinct if re.search(r"\d", pair[0])]
    without = (spoken for script, spoken in distinct if not re.search(r"\d", script))
    plain = list(dict.fromkeys(without))
    heard_by = f" heard by {args.model}" if args.model else ""
    print(f"emotiontts {' '.join(args.split)}{heard_by}: {len(pairs)} sentences with digits,"
          f" {len(plain)} without")
    for name, writer in writers.items():
        report_figures(name, measure_pairs(pairs, writer), args.errors)
        print(f"  {name:<10} {same_reading(pairs, writer)}")
        report_changes(name, plain, writer, args.errors)


def hear(name: str | None, utterances: Sequence[Utterance]) -> list[str]:
    """What was said in each, as transcribed by hand or as a model hears it."""
    if name is None:
        return [scoring_text(one.transcript) for one in utterances]
    from asr import load

    model = load(name)
    return [model.transcribe(one.audio).text for one in utterances]


def measure_texts(args: argparse.Namespace, writers: dict[str, Writer]) -> None:
    """Measures (2) and (3) on the texts."""
    totals = {name: [0, 0, 0] for name in writers}
    for text, sentences in read_texts(args.shared / "text", args.half):
        with_digits = [one for one in sentences if re.search(r"\d", one)]
        plain = [said for one in sentences if not re.search(r"\d", one) and (said := heard(one))]
        korean = [one for one in with_digits if not re.search("[A-Za-z]", one)]
        pairs = [(one, scoring_text(to_spoken(one))) for one in korean]
        print(f"{text}, half {args.half}: {len(pairs)} sentences with digits, {len(plain)} without")
        for name, writer in writers.items():
            limit = args.peer_sentences if writer is not to_written else len(plain)
            report_figures(name, measure_pairs(pairs[:limit], writer), args.errors)
            report_changes(name, plain[:limit], writer, args.errors)
            changed = measure_changes(plain[:limit], writer)
            totals[name][0] += len(changed)
            totals[name][1] += len(plain[:limit])
            totals[name][2] += len(not_numbers(changed)) if writer is to_written else 0
    for name, (changed_count, whole, odd) in totals.items():
        ours = f", at no numeral {share(odd, whole)}" if name == "malsori" else ""
        print(f"all texts: {name} changed {share(changed_count, whole)}{ours}")


def main() -> int:
    """Print the three measures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--split", nargs="*", default=["train", "dev"])
    parser.add_argument("--half", choices=HALVES, default="tune")
    parser.add_argument("--model", metavar="NAME", help="hear the corpus with this model")
    parser.add_argument("--no-texts", action="store_true")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--peer-sentences", type=int, default=1000, metavar="N",
                        help="of each text for a peer, which is slower (default: 1000)")
    parser.add_argument("--errors", type=int, default=0, metavar="N", help="show so many of a kind")
    args = parser.parse_args()
    writers: dict[str, Writer] = {"malsori": to_written}
    if not args.no_peers and (peer := nemo()) is not None:
        writers["nemo"] = peer
    start = time.perf_counter()
    if args.split:
        measure_corpus(args, writers)
    if not args.no_texts:
        measure_texts(args, writers)
    print(f"{time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
