"""Reading and writing ARPA files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.errors import DataError
from asr.lm.arpa import read_arpa
from asr.lm.automaton import build_automaton, score_sentence
from asr.lm.ngram import NgramModel

# As SRILM writes: order of its own, no <unk>, back-off weights only where needed, a suffix pruned.
SRILM = """
made by hand

\\data\\
ngram 1=5
ngram  2=3
ngram 3=2

\\1-grams:
-0.7\t</s>
-99\t<s>\t-0.3
-0.6 ▁나 -0.2
-0.5\t▁가\t-0.4
-0.8\t나

\\2-grams:
-0.2\t▁가 나\t-0.1
-0.3\t<s> ▁가\t-0.25
-0.4\t▁나 </s>

\\3-grams:
-0.1\t<s> ▁가 나
-0.15\t▁가 나 ▁나

\\end\\
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_is_read_again(
    model: NgramModel,
    held_out: list[str],
    tmp_path: Path,
    arpa_text: Callable[[NgramModel], str],
) -> None:
    text = arpa_text(model)
    again = read_arpa(write(tmp_path / "model.arpa", text))
    assert again.vocabulary == model.vocabulary
    for ours, theirs in zip(model.orders, again.orders, strict=True):
        assert np.array_equal(ours.context, theirs.context)
        assert np.array_equal(ours.word, theirs.word)
        np.testing.assert_allclose(ours.logp, theirs.logp, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(ours.backoff, theirs.backoff, rtol=1e-6, atol=1e-7)
    with gzip.open(tmp_path / "model.gz", "wb") as file:
        file.write(text.encode())
    assert read_arpa(tmp_path / "model.gz").perplexity(held_out) == again.perplexity(held_out)


def test_srilm_layout(tmp_path: Path) -> None:
    model = read_arpa(write(tmp_path / "m.arpa", SRILM))
    assert model.vocabulary.units == ("</s>", "<s>", "▁나", "▁가", "나", "<unk>")
    ln10 = np.log(10)
    # p(▁가|<s>) p(나|<s> ▁가) p(▁나|▁가 나) p(</s>|나 ▁나): 나 ▁나 and 나 back off freely to ▁나.
    expected = ln10 * (-0.3 - 0.1 - 0.15 - 0.4)
    assert model.score("가나 나") == pytest.approx(expected, abs=1e-5)
    automaton = build_automaton(model)
    assert score_sentence(automaton, model.vocabulary.encode("가나 나")) == pytest.approx(
        expected, abs=1e-5
    )
    # p(▁나|<s>) = b(<s>) p(▁나); p(나|<s> ▁나) = b(▁나) p(나); p(▁가|나) = p(▁가); b(▁가) p(</s>).
    assert model.score("나나 가") == pytest.approx(
        ln10 * (-0.3 - 0.6 - 0.2 - 0.8 - 0.5 - 0.4 - 0.7), abs=1e-5
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\end\\", "", "line 25: the file ends before"),
        ("\\2-grams:", "2-grams:", r"line 16: expected \\2-grams: but found '2-grams:'"),
        ("ngram 1=5", "ngram 1=6", "line 16: expected a probability, 1 words"),
        ("ngram 1=5", "ngram 1=4", r"line 14: expected \\2-grams:"),
        ("ngram  2=3", "ngram 3=3", "line 6: order 3 is out of sequence"),
        ("ngram 1=5", "ngram one", "line 5: expected 'ngram N=COUNT'"),
        ("-0.2\t▁가 나", "x\t▁가 나", "line 17: a probability or back-off weight is not a number"),
        ("-0.2\t▁가 나", "2.5\t▁가 나", "line 17: a probability is above 1"),
        ("-0.2\t▁가 나", "nan\t▁가 나", "line 17: a probability is above 1"),
        ("-0.2\t▁가 나", "-0.2\t▁가 다", "line 17: the unit '다' is not among the 1-grams"),
        ("-0.8\t나", "-0.8\t▁가", "line 14: the unit '▁가' is listed twice"),
        ("-0.4\t▁나 </s>", "-0.4\t<s> ▁가", "line 19: this n-gram is listed twice"),
        ("-0.15\t▁가 나 ▁나", "-0.15\t나 나 ▁나", "line 23: the first 2 words"),
        ("-0.1\t<s> ▁가 나", "-0.1\t<s> ▁가 나 -0.3", "line 22: expected a probability, 3 words"),
    ],
)
def test_malformed_files_are_refused_with_the_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert SRILM.count(old) == 1
    with pytest.raises(DataError, match=message):
        read_arpa(write(tmp_path / "m.arpa", SRILM.replace(old, new)))


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(DataError, match="not UTF-8"):
        read_arpa(tmp_path / "binary")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(SRILM.encode())[:-20])
    with pytest.raises(DataError, match="cut off"):
        read_arpa(tmp_path / "cut.gz")
    with pytest.raises(DataError, match="cannot be read"):
        read_arpa(tmp_path / "none")
    with pytest.raises(DataError, match="line 1: the file ends"):
        read_arpa(write(tmp_path / "text", "hello\n"))
