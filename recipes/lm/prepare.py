"""Prepare the texts that Malsori's Korean language model is trained on and tuned to.

Reads the collected texts (TEXT/*.txt.xz, entities.tsv.xz) and the speech corpora's transcripts, and
writes to OUT one file a training corpus and `dev.*.txt`, the tuning texts:

- every line is turned into spoken sentences; a line in two is kept whole, the others are split at
  sentence ends, since utterances hold one sentence or several;
- film reviews with hardly any spaces are left out;
- sentences that are, spaces aside, a transcript of the speech corpora are left out, whatever its
  split, so that recognition of these can be measured. Of the speech corpora only `dev` and `train`
  transcripts become tuning texts, and none is trained on.
"""

from __future__ import annotations

import argparse
import itertools
import lzma
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from asr.data.corpora import load_split
from asr.hangul.normalize import spoken_sentences

CORPORA = {
    "reviews": ["nsmc_movie_reviews"],
    "intents": ["3i4k_spoken_intents"],
    "requests": ["sae4k_assistant_requests", "parakqc_assistant_queries"],
    "chat": ["chatbot_qa"],
    "books": ["boddari_book_review01", "boddari_book_review02"],
    "tales": ["boddari_fairytale01"],
    "news": ["boddari_wikinews", "klue_dev"],
    "general": ["ud_korean"],
}
SPEECH = ("emotiontts", "pansori")
POORLY_SPACED = {"nsmc_movie_reviews"}
MAX_SYLLABLES_AN_EOJEOL = 4.5  # on average over a sentence; well-spaced Korean has about 3
LEAK_SYLLABLES = 8  # a part of a transcript this long must not be trained on either
HANGUL = re.compile("[가-힣]+(?: [가-힣]+)*")


def main() -> None:
    """Write the texts, and say on standard error how many sentences each corpus gave."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", type=Path, help="folder of the collected texts")
    parser.add_argument("speech", type=Path, help="folder of the speech corpora and splits.json")
    parser.add_argument("out", type=Path, help="folder to write")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    heard = transcripts(args.speech)
    for name, files in CORPORA.items():
        lines = [line for file in files for line in training_lines(args.text, file, heard)]
        write(args.out / f"{name}.txt", lines)
    write(args.out / "subtitles.tsv", subtitle_words(args.text))
    write(args.out / "names.tsv", entity_names(args.text))
    for corpus in SPEECH:
        write(args.out / f"dev.{corpus}.txt", tuning_lines(args.speech, corpus))


def transcripts(speech: Path) -> set[str]:
    """Return all transcripts of the speech corpora, and long sentences of them, without spaces."""
    heard = set()
    for corpus, split in itertools.product(SPEECH, ("train", "dev", "test")):
        for utterance in load_split(speech, corpus, split):
            sentences = [squeezed(s) for s in spoken_sentences(utterance.transcript)]
            heard.add("".join(sentences))
            heard.update(s for s in sentences if len(s) >= LEAK_SYLLABLES)
    return heard


def training_lines(text: Path, file: str, heard: set[str]) -> Iterator[str]:
    """Yield the sentences of a text, alternately lines whole and lines split."""
    whole = False
    for line in read_lines(text / f"{file}.txt.xz"):
        sentences = [s for s in spoken_sentences(line) if squeezed(s) not in heard]
        if file in POORLY_SPACED:
            sentences = [s for s in sentences if well_spaced(s)]
        if sentences:
            whole = not whole
            joined = " ".join(sentences)
            yield from [joined] if whole and squeezed(joined) not in heard else sentences


def tuning_lines(speech: Path, corpus: str) -> list[str]:
    """Return the different transcripts of dev and train, one an utterance."""
    lines: dict[str, str] = {}
    for split in ("dev", "train"):
        for utterance in load_split(speech, corpus, split):
            line = " ".join(spoken_sentences(utterance.transcript))
            lines.setdefault(squeezed(line), line)
    return [line for line in lines.values() if line]


def subtitle_words(text: Path) -> Iterator[str]:
    """Yield eojeol of film subtitles, TAB, square root of their count (found best on dev)."""
    for line in read_lines(text / "subtitle_word_counts.txt.xz"):
        word, count = line.split()
        if HANGUL.fullmatch(word):
            yield f"{word}\t{math.isqrt(int(count))}"


def entity_names(text: Path) -> Iterator[str]:
    """Yield names of places, stations, groups and the like, each TAB 1."""
    for line in read_lines(text / "entities.tsv.xz"):
        name = line.split("\t")[1]
        if HANGUL.fullmatch(name):
            yield f"{name}\t1"


def squeezed(text: str) -> str:
    return text.replace(" ", "")


def well_spaced(sentence: str) -> bool:
    return len(squeezed(sentence)) <= MAX_SYLLABLES_AN_EOJEOL * len(sentence.split())


def read_lines(path: Path) -> Iterator[str]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n")


def write(path: Path, lines: Iterator[str] | list[str]) -> None:
    count = 0
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(line + "\n")
            count += 1
    print(f"{path}: {count} lines", file=sys.stderr)


if __name__ == "__main__":
    main()
