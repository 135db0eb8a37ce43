"""How often asr.hangul.pronunciation is right, and where it is not.

    python tools/bench/pronunciation.py [--refs ../shared/refs] [--errors N]
    python tools/bench/pronunciation.py --held-out 0

Counts exact matches on the examples of 표준발음법 (a canonical output must be one of the listed
variants) and on the words of 표준국어대사전, from the spelling alone and with the morpheme
structure. The weights that come with the package have seen those words: `--held-out FOLD` trains
them anew without a tenth of the words (about two minutes) and counts on that tenth only.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from train_junction_weights import examples, fit, fold, read_words, rows_of  # noqa: E402

from asr.hangul import context  # noqa: E402
from asr.hangul.jamo import CODAS, ONSETS, decompose  # noqa: E402
from asr.hangul.pronunciation import pronounce  # noqa: E402

LAW, WORDS = "standard_pronunciation_examples.tsv", "stdict_pronunciations.tsv.xz"
Word = tuple[str, str, list[str]]


def measure_law(path: Path) -> None:
    """Print the share of law examples that are right, and all the others by article."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    canonical = variant = unspaced = 0
    wrong: dict[str, list[str]] = defaultdict(list)
    for article, spelling, listed in (line.split("\t") for line in lines):
        said = [one.hangul for one in pronounce(spelling)]
        right = listed.split("/")
        canonical += said[0] in right
        variant += any(one in right for one in said)
        unspaced += said[0].replace(" ", "") in [one.replace(" ", "") for one in right]
        if said[0] not in right:
            wrong[article].append(f"{spelling} [{listed}] ours {'/'.join(said)}")
    print(f"{path.name}: {len(lines)} examples")
    print(f"  canonical output listed     {share(canonical, len(lines))}")
    print(f"  the same, spaces ignored    {share(unspaced, len(lines))}")
    print(f"  any of our variants listed  {share(variant, len(lines))}")
    for article, errors in wrong.items():
        for error in errors:
            print(f"    article {article}: {error}")


def measure_words(name: str, words: Sequence[Word], errors: int) -> None:
    """Print the share of words that are right both ways, and what is wrong with the others."""
    start = time.perf_counter()
    plain = [word for word in words if pronounce(word[0])[0].hangul != word[1]]
    seconds = time.perf_counter() - start
    structured = [word for word in words if said_with_parts(word) != word[1]]
    print(f"{name}: {len(words)} words, {len(words) / seconds:.0f} words/s")
    print(f"  from spelling alone  {share(len(words) - len(plain), len(words))}")
    print(f"  with structure       {share(len(words) - len(structured), len(words))}")
    for label, wrong in (("spelling alone", plain), ("with structure", structured)):
        kinds: Counter[str] = Counter()
        shown: dict[str, list[str]] = defaultdict(list)
        for word in wrong:
            said = said_with_parts(word) if wrong is structured else pronounce(word[0])[0].hangul
            kind = error_kind(word[0], word[1], said)
            kinds[kind] += 1
            shown[kind].append(f"{'-'.join(word[2])} [{word[1]}] {said}")
        print(f"  errors {label}:")
        for kind, count in kinds.most_common():
            print(f"    {count:5d} {kind}: {', '.join(shown[kind][:errors])}")


def said_with_parts(word: Word) -> str:
    return pronounce(word[0], "-".join(word[2]))[0].hangul


def error_kind(spelling: str, right: str, said: str) -> str:
    """The article that governs the first junction that is wrong, and which way it is."""
    at = next((i for i, pair in enumerate(zip(right, said, strict=True)) if len(set(pair)) == 2), 0)
    left, following = max(at - 1, 0), at
    if decompose(right[at])[2] != decompose(said[at])[2] and at + 1 < len(spelling):
        left, following = at, at + 1
    coda = CODAS[decompose(spelling[left])[2]]
    onset = ONSETS[decompose(spelling[following])[0]]
    wanted = ONSETS[decompose(right[following])[0]]
    ours = ONSETS[decompose(said[following])[0]]
    if coda == "ㅅ" and onset in "ㄱㄷㅂㅅㅈ":
        return "30 ㅅ of compounds"
    if onset == "ㅇ" and coda:
        return f"29/15 before a vowel, {'ㄴ missing' if wanted in 'ㄴㄹ' else 'other'}"
    if (coda, onset) == ("ㄴ", "ㄹ"):
        return "20 ㄴㄹ"
    if onset in "ㄱㄷㅂㅅㅈ" and {wanted, ours} & set("ㄲㄸㅃㅆㅉ"):
        article = "26/28 tensing after ㄹ" if coda == "ㄹ" else "28 tensing"
        return f"{article}, {'missing' if ours == onset else 'too much'}"
    return "other"


def share(count: int, total: int) -> str:
    return f"{count}/{total} = {100 * count / total:.2f}%"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--refs", type=Path, default=ROOT.parent / "shared" / "refs")
    parser.add_argument("--held-out", type=int, help="train without this tenth, measure on it")
    parser.add_argument("--errors", type=int, default=8, help="examples of each kind of error")
    arguments = parser.parse_args()
    words = read_words(arguments.refs / WORDS)
    if arguments.held_out is None:
        measure_law(arguments.refs / LAW)
        measure_words(f"{WORDS}, weights of the package", words, arguments.errors)
        return
    kept = [word for word in words if fold(word[0]) != arguments.held_out]
    trained = {reading: fit(found) for reading, found in examples(kept).items()}
    weights = context.weights_of(rows_of(trained))
    with mock.patch.object(context, "load_weights", lambda: weights):
        measure_law(arguments.refs / LAW)
        held = [word for word in words if fold(word[0]) == arguments.held_out]
        measure_words(f"{WORDS}, tenth {arguments.held_out} held out", held, arguments.errors)


if __name__ == "__main__":
    main()
