"""`asr lm-ppl` from the command line, against KenLM's query."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import kenlm
import pytest

from asr.cli.main import main
from asr.lm.arpa import read_arpa
from asr.lm.binary import save_model
from asr.lm.ngram import NgramModel
from asr.lm.units import text_to_units

# Over whole words, as SRILM writes it: no <unk>, weights only where needed, tabs and spaces.
WORDS = """
\\data\\
ngram 1=5
ngram 2=4

\\1-grams:
-0.9\t</s>
-99\t<s>\t-0.3
-0.6\t나는\t-0.2
-0.7\t학교에\t-0.15
-0.8\t간다

\\2-grams:
-0.3\t<s> 나는
-0.4\t나는 학교에
-0.2\t학교에 간다
-0.1\t간다 </s>

\\end\\
"""
KENLM = WORDS.replace("ngram 1=5", "ngram 1=6").replace(
    "-0.9\t</s>", "-1.2\t<unk>\t0\n-0.9\t</s>\t0"
)
TEXT = ["나는 학교에 간다", "나는 간다", "학교에 나는 나무", "모르는 말"]
Spell = Callable[[str], str]


def query(model: kenlm.Model, sentences: list[str]) -> dict[str, float]:
    """What KenLM's query program reports."""
    scores = [score for line in sentences for score in model.full_scores(line)]
    known = [logp for logp, _, oov in scores if not oov]
    total = sum(logp for logp, _, _ in scores)
    return {
        "total": total,
        "tokens": len(scores),
        "unknown": len(scores) - len(known),
        "including": 10 ** (-total / len(scores)),
        "excluding": 10 ** (-sum(known) / len(known)),
        "hits": [sum(n == k for _, n, _ in scores) for k in range(1, model.order + 1)],
    }


def figures(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, float]]:
    capsys.readouterr()
    assert main(["lm-ppl", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["texts"]


def test_figures_are_those_of_kenlm(
    models: dict[str, NgramModel],
    held_out: list[str],
    tmp_path: Path,
    spell: Spell,
    arpa_text: Callable[[NgramModel], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    text, arpa = tmp_path / "text", tmp_path / "m.arpa"
    lines = [*held_out, "뷁나 가힣"]  # syllables that the model does not have
    text.write_text("\n".join(lines), encoding="utf-8")
    arpa.write_text(arpa_text(models["entropy"]), encoding="utf-8")
    theirs = query(kenlm.Model(str(arpa)), [spell(line) for line in lines])
    [ours] = figures(capsys, arpa, text)
    assert ours["log10_probability"] == pytest.approx(theirs["total"], rel=1e-5)
    assert (ours["tokens"], ours["unknown"]) == (theirs["tokens"], theirs["unknown"])
    assert ours["unknown"] > 0 and ours["hits"] == theirs["hits"]
    assert ours["perplexity_per_unit"] == pytest.approx(theirs["including"], rel=1e-4)
    assert ours["perplexity_per_known_unit"] == pytest.approx(theirs["excluding"], rel=1e-4)
    assert ours["bits_per_unit"] == pytest.approx(math.log2(theirs["including"]), rel=1e-4)


@pytest.mark.parametrize("layout", ["kenlm", "srilm", "crlf"])
def test_models_of_whole_words(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, arpa = tmp_path / "text", tmp_path / "m.arpa"
    text.write_text("\n".join(TEXT), encoding="utf-8")
    (tmp_path / "kenlm.arpa").write_text(KENLM if layout == "kenlm" else WORDS, encoding="utf-8")
    theirs = query(kenlm.Model(str(tmp_path / "kenlm.arpa")), TEXT)
    written = {"kenlm": KENLM, "srilm": WORDS, "crlf": WORDS.replace("\n", "\r\n")}[layout]
    arpa.write_bytes(written.encode())
    [ours] = figures(capsys, arpa, text)
    assert (ours["tokens"], ours["unknown"]) == (theirs["tokens"], theirs["unknown"]) == (14, 3)
    assert ours["perplexity_per_known_unit"] == pytest.approx(theirs["excluding"], rel=1e-4)
    if layout == "kenlm":  # else <unk> has no probability, which programs write in their own ways
        assert ours["log10_probability"] == pytest.approx(theirs["total"], rel=1e-5)
        assert ours["hits"] == theirs["hits"]
    assert read_arpa(arpa).vocabulary.whole_words


def test_several_texts_are_summed_up(
    models: dict[str, NgramModel],
    held_out: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_model(models["mixed"], tmp_path / "m.lm")
    (tmp_path / "a").write_text("\n".join(held_out[:40]), encoding="utf-8")
    (tmp_path / "b").write_text("\n".join(held_out[40:]), encoding="utf-8")
    (tmp_path / "ab").write_text("\n".join(held_out), encoding="utf-8")
    a, b, both = figures(capsys, tmp_path / "m.lm", tmp_path / "a", tmp_path / "b")
    [whole] = figures(capsys, tmp_path / "m.lm", tmp_path / "ab")
    assert both["name"] == "all" and a["sentences"] == 40
    assert a["tokens"] + b["tokens"] == both["tokens"]
    assert both["hits"] == whole["hits"] and sum(both["hits"]) == both["tokens"]
    for name in ("sentences", "tokens", "jamo", "syllables", "perplexity_per_jamo"):
        assert both[name] == pytest.approx(whole[name])
    assert whole["syllables"] == sum(len(text_to_units(line)) for line in held_out)
    assert main(["lm-ppl", str(tmp_path / "m.lm"), str(tmp_path / "ab")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"{whole['perplexity_per_jamo']:.4f} a jamo" in lines[0]
    assert "units scored by 1-grams" in lines[-1]


def test_spoken_text_and_mistakes(
    models: dict[str, NgramModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(models["bigram"], tmp_path / "m.lm")
    (tmp_path / "raw").write_text("7월 3일!\n", encoding="utf-8")
    (tmp_path / "read").write_text("칠월 삼일\n", encoding="utf-8")
    spoken, read = (
        figures(capsys, tmp_path / "m.lm", tmp_path / "raw", "--spoken")[0],
        figures(capsys, tmp_path / "m.lm", tmp_path / "read")[0],
    )
    assert {**spoken, "name": ""} == {**read, "name": ""}
    for arguments, message in (
        ((tmp_path / "none.lm", tmp_path / "read"), "none.lm cannot be read"),
        ((tmp_path / "m.lm", tmp_path / "none"), "none cannot be read"),
        ((tmp_path / "read", tmp_path / "read"), "the file ends before"),
    ):
        assert main(["lm-ppl", *map(str, arguments)]) == 1
        assert message in capsys.readouterr().err
