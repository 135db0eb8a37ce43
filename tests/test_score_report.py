"""The detailed report: groups of jamo errors by hand and against jiwer, intervals of kaldialign."""

from __future__ import annotations

import json
import random
import unicodedata
from pathlib import Path

import jiwer
import kaldialign
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.cli.main import main
from asr.score import TextPairs, align, read_text_table, score
from asr.score_bootstrap import BootstrapConfig
from asr.score_groups import Classifier, Group
from asr.score_jamo import MISSING, align_jamo, letters_of
from asr.score_report import (
    RATES,
    ReportConfig,
    compare_systems,
    detailed_report,
    jamo_confusions,
)

FEW = ReportConfig(bootstrap=BootstrapConfig(replicates=50))


def _pairs(texts: list[tuple[str, str]]) -> TextPairs:
    names = [f"u{number}" for number in range(len(texts))]
    return TextPairs(names, [ref for ref, _ in texts], [hyp for _, hyp in texts])


def _confusions(ref: str, hyp: str) -> list[tuple[str, str, str, int]]:
    chunks = align([ref, "가"], [hyp, "가"]).jamo.alignments[0]
    sides = [letters_of(text.replace(" ", "")) for text in (ref, hyp)]
    found = Classifier(ref, hyp, *sides).confusions(align_jamo(*sides, chunks))
    return [(one.group.value, one.ref, one.hyp, one.edits) for one in found]


@pytest.mark.parametrize(
    ("ref", "hyp", "expected"),
    [
        # 연음: the coda moved (articles 13, 17), nasals and liquids (18, 20), tensing (23), space
        ("옷이 예쁘다", "오시 예쁘다", [("연음", "옷이", "오시", 1)]),
        ("오시는 길", "옷이는 길", [("연음", "오시", "옷이", 1)]),
        ("문안 인사", "무난 인사", [("연음", "문안", "무난", 1)]),
        ("국물이", "궁물이", [("연음", "국", "궁", 1)]),
        ("신라면", "실라면", [("연음", "신", "실", 1)]),
        ("같이 가", "가치 가", [("연음", "같이", "가치", 2)]),
        ("못 가", "못 까", [("연음", "가", "까", 1)]),
        ("옷 한 벌", "오 탄 벌", [("연음", "옷 한", "오 탄", 2)]),
        ("낫다", "낮다", [("연음", "낫", "낮", 1)]),
        # the same move where something else is wrong in the stretch
        ("옷이", "어시", [("모음", "ㅗ", "ㅓ", 1), ("연음", "ㅅㅇ", "ㅅ", 1)]),
        # 받침
        ("간다", "가다", [("받침", "ㄴ", "", 1)]),
        ("사람", "사랑", [("받침", "ㅁ", "ㅇ", 1)]),
        ("강아지", "가아지", [("받침", "ㅇ", "", 1)]),
        # 경음/격음
        ("가방", "까방", [("경음/격음", "ㄱ", "ㄲ", 1)]),
        ("타다", "다다", [("경음/격음", "ㅌ", "ㄷ", 1)]),
        # 모음, also those that sound alike
        ("내가", "네가", [("모음", "ㅐ", "ㅔ", 1)]),
        ("나라의", "나라에", [("모음", "ㅢ", "ㅔ", 1)]),
        ("고기", "거기", [("모음", "ㅗ", "ㅓ", 1)]),
        # the rest
        ("나라", "다라", [("초성", "ㄴ", "ㄷ", 1)]),
        ("가나다", "가다", [("음절", "나", "", 2)]),
        ("가나", "가나당", [("음절", "", "당", 3)]),
        ("KBS 소식", "케이비에스 소식", [("표기", "KBS", "케이비에스", 10)]),
        ("KBS 뉴스", "케이비에스 누스",
         [("표기", "KBS", "케이비에스", 10), ("모음", "ㅠ", "ㅜ", 1)]),
        ("7년 동안", "칠년 동안", [("표기", "7", "칠", 3)]),
        ("A형", "B형", [("기타", "A", "B", 1)]),
        ("간다", "가자", [("받침", "ㄴ", "", 1), ("초성", "ㄷ", "ㅈ", 1)]),
        ("옷이 좋다", "옷이좋다", []),
    ],
)
def test_groups(ref: str, hyp: str, expected: list[tuple[str, str, str, int]]) -> None:
    assert _confusions(ref, hyp) == expected


syllables = st.text("가각간강나난다다까카오옷이의예에애네K7 ", min_size=1, max_size=14)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(st.tuples(syllables, syllables), min_size=1, max_size=3))
def test_every_jamo_error_is_in_one_group(texts: list[tuple[str, str]]) -> None:
    pairs = _pairs([("가", "가"), *texts])
    groups = jamo_confusions(pairs.names, align(pairs.references, pairs.hypotheses))
    sides = [
        [unicodedata.normalize("NFD", text.replace(" ", "")) for text in side]
        for side in (pairs.references, pairs.hypotheses)
    ]
    # NFD tells onsets from codas apart, compatibility jamo do not: never more edits than NFD
    edits = sum(one.edits for one in groups)
    assert edits == score(pairs.references, pairs.hypotheses).jamo.edits
    assert edits <= sum(
        kaldialign.edit_distance(list(ref), list(hyp))["total"]
        for ref, hyp in zip(*sides, strict=True)
    )
    for one in groups:
        assert sum(pair.count for pair in one.pairs) == one.places <= one.edits or not one.edits


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 10_000))
def test_aligning_anew_keeps_the_number_of_edits(seed: int) -> None:
    """Long texts, so that windows between equal stretches are cut."""
    chance = random.Random(seed)
    ref = "".join(chance.choices("가나다라마각난달", k=60))
    hyp = "".join(
        character if chance.random() < 0.8 else chance.choice(["", "각", "가나", "다"])
        for character in ref
    )
    sides = letters_of(ref), letters_of(hyp)
    pairs = align_jamo(*sides, align([ref], [hyp]).jamo.alignments[0])
    for side, letters in enumerate(sides):
        indices = [pair[side] for pair in pairs if pair[side] != MISSING]
        assert indices == list(range(len(letters.letters)))
    edits = sum(
        MISSING in (r, h) or sides[0].letters[r] != sides[1].letters[h] for r, h in pairs
    )
    assert edits == kaldialign.edit_distance(*(list(side.letters) for side in sides))["total"]


def _noisy(texts: list[str], wrong: float, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [
        " ".join(word if chance.random() > wrong else "틀림" for word in text.split())
        for text in texts
    ]


def test_intervals_and_comparison_agree_with_kaldialigns() -> None:
    chance = random.Random(3)
    refs = [" ".join(chance.choices(["하나", "둘", "셋", "넷"], k=chance.randint(1, 9)))
            for _ in range(150)]  # fmt: skip
    first, second = _noisy(refs, 0.30, 1), _noisy(refs, 0.26, 2)
    theirs = kaldialign.bootstrap_wer_ci(
        *([text.split() for text in side] for side in (refs, first, second))
    )
    names = [str(number) for number in range(len(refs))]
    ours = detailed_report(TextPairs(names, refs, first)).intervals["wer"]
    assert ours is not None
    assert ours.low == pytest.approx(theirs["system1"]["ci95min"], abs=0.004)
    assert ours.high == pytest.approx(theirs["system1"]["ci95max"], abs=0.004)
    found = compare_systems(TextPairs(names, refs, first), TextPairs(names, refs, second))["wer"]
    assert found.better == pytest.approx(theirs["p_s2_improv_over_s1"], abs=0.02)
    assert found.p_value == pytest.approx(2 * (1 - found.better), abs=0.01)
    assert found.difference == pytest.approx(jiwer.wer(refs, second) - jiwer.wer(refs, first))
    assert found.interval.low < found.difference < found.interval.high


def test_comparison_matches_ids_and_knows_equals() -> None:
    first = TextPairs(["a", "b", "c"], ["가 나", "다", "라"], ["가 나", "더", "라"])
    turned = TextPairs(["c", "b", "a"], ["라", "다", "가 나"], ["라", "더", "가 나"])
    for name, one in compare_systems(first, turned).items():
        assert (one.difference, one.better, one.p_value) == (0.0, 0.0, 1.0), name


def test_better_spacing_is_a_higher_f1() -> None:
    refs = ["가 나다 라마 바사 아"] * 20
    poor, good = ["가나 다라 마바 사아"] * 20, ["가 나다 라마 바사아"] * 20
    names = [str(number) for number in range(20)]
    found = compare_systems(TextPairs(names, refs, poor), TextPairs(names, refs, good))
    assert found["spacing_f1"].better == 1.0 and found["spacing_f1"].difference > 0


def test_report_on_the_same_seed_is_the_same() -> None:
    pairs = _pairs([("가 나다", "가 너다"), ("라마", "라마"), ("바사", "바")])
    assert detailed_report(pairs, FEW).as_dict() == detailed_report(pairs, FEW).as_dict()


def test_lists_of_the_report() -> None:
    report = detailed_report(
        _pairs([
            ("우리 집에 간다", "우리 지베 간다"),
            ("저 집에 갔다", "저 지베 갔다 네"),
            ("둘 다", ""),
            ("...", "아"),
        ]),
        ReportConfig(worst=3, bootstrap=FEW.bootstrap),
    )  # fmt: skip
    assert [one.id for one in report.worst] == ["u2", "u3", "u1"]
    assert report.worst[0].rate == 1.0 and report.worst[1].rate is None
    top = report.eojeol.substitutions[0]
    assert (top.reference, top.hypothesis, top.count) == ("집에", "지베", 2)
    assert [pair.hypothesis for pair in report.eojeol.insertions] == ["네", "아"]
    assert [pair.reference for pair in report.eojeol.deletions] == ["다", "둘"]
    liaison = next(one for one in report.groups if one.group is Group.LIAISON)
    assert (liaison.edits, liaison.places) == (2, 2)
    assert liaison.pairs[0].example is not None
    assert liaison.pairs[0].example.id == "u0"
    assert liaison.pairs[0].example.reference == "우리 [집에] 간다"
    assert liaison.pairs[0].example.hypothesis == "우리 [지베] 간다"
    assert report.removed == ({".": 3}, {})


def test_one_utterance_has_no_interval() -> None:
    report = detailed_report(_pairs([("가나", "가다")]))
    assert set(report.intervals) == set(RATES)
    assert all(interval is None for interval in report.intervals.values())


def test_decomposed_text_is_text_and_not_ids(tmp_path: Path) -> None:
    path = tmp_path / "ref"
    path.write_text(unicodedata.normalize("NFD", "오늘 날씨\n내일 날씨\n"), encoding="utf-8")
    assert not read_text_table(path).has_ids


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    texts = {
        "ref": "u1 국물이 좋다.\nu2 옷이 예쁘다\nu3 오늘 간다\n",
        "hyp": "u3 오늘 간다\nu1 궁물이 좋다\nu2 오시 예쁘다\n",
        "hyp2": "u1 국물이 좋다\nu2 옷이 예쁘다\nu3 오늘 간다\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return [str(tmp_path / name) for name in texts]


def test_table(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", *files[:2], "--report", "--compare", files[2]]) == 0
    out = capsys.readouterr().out
    assert "jamo errors by group, 2 in all" in out
    assert "연음" in out and "u1: [국]물이 좋다 → [궁]물이 좋다" in out
    assert "국물이→궁물이 1" in out
    assert "removed from the references: 1 characters (.×1)" in out
    assert "-21.43%" in out  # CER: 3 of 14 characters, then none
    assert "95% interval" in out


def test_json_and_output(files: list[str], tmp_path: Path) -> None:
    target = tmp_path / "out" / "report.json"
    command = ["score", *files[:2], "--worst", "1", "--json", "--compare", files[2]]
    assert main([*command, "--output", str(target)]) == 0
    content = json.loads(target.read_text(encoding="utf-8"))
    assert content["jamo_error_rate"]["edits"] == 2
    assert sum(one["edits"] for one in content["jamo_confusions"].values()) == 2
    assert set(content["jamo_confusions"]) == {group.value for group in Group}
    assert len(content["worst"]) == 1
    assert content["comparison"]["cer"]["second"] == 0.0
    assert list(target.parent.iterdir()) == [target]


def test_failures_leave_no_file(files: list[str], tmp_path: Path, capsys) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"u1 \xff\n")
    target = tmp_path / "report"
    assert main(["score", files[0], str(bad), "--report", "-o", str(target)]) == 1
    assert "bad line 1 is not UTF-8" in capsys.readouterr().err
    assert not target.exists()
    assert main(["score", *files[:2], "-o", str(tmp_path)]) == 1
    assert "cannot be written" in capsys.readouterr().err
    bad.write_text("u1 가\n", encoding="utf-8")
    assert main(["score", *files[:2], "--compare", str(bad)]) == 1
    assert "differ in 2 ids" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["score", *files[:2], "--worst", "-1"])
