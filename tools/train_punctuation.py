"""Train the classifier of asr.punctuation, and score it on sentences that it has not seen.

    python tools/train_punctuation.py --text ../shared/text/{boddari_*,chatbot_qa,klue_dev}.txt.xz \
        ../shared/text/{parakqc_assistant_queries,ud_korean}.txt.xz --output data/punctuation \
        --casual ../shared/text/nsmc_movie_reviews.txt.xz

Every line is a sentence; one to four that follow each other are read as if one person said them.
Of --casual, only lines that have one mark, at their end: all questions, and STATEMENTS others for
each; a fiftieth of all such lines is held back and scored by itself, statements as they come.
Multinomial logistic regression on hashed features, Adagrad, a fiftieth of the lines held back. With
--script ROOT, the marks of EmotionTTS' scripts (dev, then test) are the second test.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numba as nb  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from asr.data import load_split  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.hangul.normalize import to_spoken  # noqa: E402
from asr.lm.text_files import read_lines  # noqa: E402
from asr.punctuation import BUCKETS, MARKS, STOPS, Punctuator, features  # noqa: E402
from asr.tensor_file import write_tensors  # noqa: E402

Marked = list[tuple[str, str]]
"""Eojeol and the marks behind them."""
MOST = 40
"""Eojeol of a sentence, at most."""
STATEMENTS = 2
"""For each casual question. As many as questions made every -야, -어 and -데 one; as many as there
are in reviews, hardly any."""
_MARK = re.compile(r"([,.?!…]*)$")
_OTHER = re.compile(r"[^가-힣A-Za-z0-9 ,.?!…]")


def marked(line: str) -> Marked | None:
    """A sentence as eojeol and marks; None where it does not end with a stop."""
    words = []
    for eojeol in _OTHER.sub(" ", line).split():
        found = _MARK.search(eojeol)
        assert found is not None
        mark = found[1].replace("…", ".").replace("!", ".")
        mark = "?" if "?" in mark else mark[:1]
        spoken = to_spoken(eojeol[: found.start()]).split()
        if not spoken:
            continue
        words += [(word, "") for word in spoken[:-1]]
        words.append((spoken[-1], mark))
    if not 2 <= len(words) <= MOST or words[-1][1] not in STOPS:
        return None
    return words


def casual(lines: Iterable[str], rng: random.Random) -> tuple[list[Marked], list[Marked]]:
    """Sentences with one mark: questions and STATEMENTS for each; and some, as they come."""
    kept: dict[str, list[Marked]] = {".": [], "?": []}
    for line in lines:
        if line.endswith(STOPS) and not re.search(r"[,.?!…ㄱ-ㅣ]", line[:-1]):
            sentence = marked(line)
            if sentence:
                kept[sentence[-1][1]].append(sentence)
    held = [one for some in kept.values() for one in some[::50]]
    asked, said = ([one for n, one in enumerate(kept[mark]) if n % 50] for mark in "?.")
    both = asked + rng.sample(said, min(len(said), STATEMENTS * len(asked)))
    rng.shuffle(both)
    return both, held


def paragraphs(sentences: Sequence[Marked], rng: random.Random) -> Iterator[Marked]:
    """One to four sentences that follow each other."""
    begin = 0
    while begin < len(sentences):
        count = rng.choice((1, 1, 2, 3, 4))
        yield [word for sentence in sentences[begin : begin + count] for word in sentence]
        begin += count


def train(sentences: Sequence[Marked], epochs: int, rng: random.Random) -> NDArray[np.float32]:
    """Weights, float32 [BUCKETS, 4]."""
    weights = np.zeros((BUCKETS, len(MARKS)), np.float32)
    squares = np.full_like(weights, 1e-3)
    for epoch in range(epochs):
        texts = list(paragraphs(sentences, rng))
        rng.shuffle(texts)
        seen, begin, wanted = [], [0], []
        for text in texts:
            words, since = [word for word, _ in text], 0
            for place, (_, mark) in enumerate(text):
                seen += features(words, place, since)
                begin.append(len(seen))
                wanted.append(MARKS.index(mark))
                if mark in STOPS:
                    since = place + 1
        loss = _adagrad(
            np.array(seen, np.int32), np.array(begin), np.array(wanted), weights, squares
        )
        print(f"epoch {epoch + 1}: {loss / len(wanted):.4f} nats a gap", flush=True)
    return weights


@nb.njit(cache=True)
def _adagrad(seen: Any, begin: Any, wanted: Any, weights: Any, squares: Any) -> float:
    """One pass over gaps, whose features are ``seen[begin[gap] : begin[gap + 1]]``."""
    loss = 0.0
    for gap in range(len(wanted)):
        scores = np.zeros(weights.shape[1], np.float32)
        for feature in seen[begin[gap] : begin[gap + 1]]:
            scores += weights[feature]
        slope = np.exp(scores - scores.max())
        slope /= slope.sum()
        loss -= np.log(slope[wanted[gap]] + 1e-9)
        slope[wanted[gap]] -= 1.0
        for feature in seen[begin[gap] : begin[gap + 1]]:
            squares[feature] += slope**2
            weights[feature] -= 0.15 * slope / np.sqrt(squares[feature])
    return loss


def report(name: str, texts: Iterable[Marked], punctuator: Punctuator) -> None:
    """Print precision, recall and F1 of each mark; last gaps, where a stop is certain, apart."""
    pairs, last = [], []
    for text in texts:
        found = punctuator.marks([word for word, _ in text])
        both = list(zip((mark for _, mark in text), found, strict=True))
        pairs += both[:-1]
        last.append(both[-1])
    print(f"{name}: {len(last)} texts, {len(pairs)} gaps inside")
    for mark in MARKS[1:]:
        for where, some in (("inside", pairs), ("end", last)):
            right = sum(a == b == mark for a, b in some)
            wanted, got = sum(a == mark for a, _ in some), sum(b == mark for _, b in some)
            if wanted or got:
                print(f"  {mark} {where}: precision {right / max(1, got):.1%}, recall"
                      f" {right / max(1, wanted):.1%}, F1 {2 * right / max(1, wanted + got):.1%}"
                      f" ({wanted} in the text)")


def main() -> int:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description="Train the classifier of asr.punctuation.")
    parser.add_argument("--text", type=Path, nargs="+", default=[], help="a sentence a line")
    parser.add_argument("--casual", type=Path, nargs="*", default=[], help="the same, of chat")
    parser.add_argument("--output", type=Path, help="folder that gets ko.safetensors")
    parser.add_argument("--weights", type=Path, help="score these, train nothing")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--script", type=Path, metavar="ROOT", help="EmotionTTS' scripts")
    parser.add_argument("--split", nargs="+", default=["dev"], help="of them")
    args = parser.parse_args()
    try:
        if args.weights:
            punctuator = Punctuator.load(args.weights)
        else:
            lines = [list(read_lines(path)) for path in args.text]
            kept = [[one for one in map(marked, some) if one] for some in lines]
            chats = [casual(read_lines(path), random.Random(3)) for path in args.casual]
            held = [one for some in kept for one in some[::50]]
            seen = [one for some in kept for number, one in enumerate(some) if number % 50]
            seen += [one for some, _ in chats for one in some]
            weights = train(seen, args.epochs, random.Random(1))
            punctuator = Punctuator(weights.astype(np.float16))
            report("held back", paragraphs(held, random.Random(2)), punctuator)
            for _, apart in chats:
                report("held back, casual", apart, punctuator)
            if args.output:
                array = {"weights": weights.astype(np.float16)}
                write_tensors(args.output / "ko.safetensors", array)
        for split in args.split if args.script else []:
            scripts = [u.script for u in load_split(args.script, "emotiontts", split)]
            texts = [one for one in map(marked, dict.fromkeys(filter(None, scripts))) if one]
            report(f"emotiontts {split}", texts, punctuator)
    except AsrError as error:
        print(f"train_punctuation: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
