"""Splits that share nothing, subsets, unions, copies at other speeds, and the search for leaks."""

from __future__ import annotations

import lzma
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_data import TEXTS

from asr.data import DataDir, DirUtterance
from asr.data.choosing import SubsetConfig, combine, perturb_speed, read_list, subset
from asr.data.leaks import LeakConfig, find_leaks
from asr.data.sentences import SentenceIndex, sentence_key
from asr.data.splitting import Size, SplitConfig, split
from asr.errors import DataError, UsageError

CORPUS = Path(__file__).parents[2] / ".." / "shared" / "speech"


def _data(speakers: int, each: int, sentences: int, seed: int = 0) -> DataDir:
    """Speakers who read sentences at random, so that many are said by several."""
    rng = np.random.default_rng(seed)
    rows, seconds = [], {}
    for s in range(speakers):
        for u in range(each):
            name = f"s{s:02}-{u:03}"
            number = int(rng.integers(sentences))
            first = "가나다라마바사아자차"[number % 10]
            text = f"{first}{'각난닫랄맘밥삿앙잦찿'[number // 10]} 같이 가요"
            rows.append(DirUtterance(name, name, f"s{s:02}", text, source=Path(f"/{name}.wav")))
            seconds[name] = f"{rng.uniform(1, 9):.2f}"
    return DataDir(tuple(rows), {"utt2dur": seconds})


@given(st.integers(0, 1000), st.sampled_from([(8, 5, 90), (20, 10, 100), (12, 8, 20)]))
@settings(max_examples=15, deadline=None)
def test_splits_share_neither_speaker_nor_sentence(seed: int, shape: tuple[int, int, int]) -> None:
    data = _data(*shape, seed=seed)
    config = SplitConfig("15%", "20%", seed, draws=20)
    result = split(data, config)
    parts = list(result.parts.values())
    for i, one in enumerate(parts):
        for other in parts[i + 1 :]:
            assert not set(one.speakers) & set(other.speakers)
            assert not {u.text for u in one.utterances} & {u.text for u in other.utterances}
            assert find_leaks(one, [other]) == []
    ids = sorted(u.id for part in parts for u in part.utterances) + sorted(result.dropped)
    assert sorted(ids) == [u.id for u in data.utterances]
    assert split(data, config) == result


def test_sizes_are_met_and_few_are_dropped() -> None:
    data = _data(40, 20, 100)
    rows = tuple(replace(u, text=f"문장 {i // 2}") for i, u in enumerate(data.utterances))
    data = replace(data, utterances=rows)  # every sentence twice, by the same speaker
    result = split(data, SplitConfig("10%", "5spk"))
    assert result.dropped == ()
    assert len(result.parts["test"].speakers) == 5
    total = sum(data.durations.values())
    dev = sum(result.parts["dev"].durations.values())
    assert 0.09 < dev / total < 0.11  # a speaker is 2.5%
    rows = tuple(replace(u, text=f"문장 {i // 30}") for i, u in enumerate(rows))
    shared = replace(data, utterances=rows)  # half of the sentences by two speakers
    one, many = (len(split(shared, SplitConfig(draws=n)).dropped) for n in (1, 200))
    assert many <= one and many < 80


def test_splits_that_cannot_be() -> None:
    with pytest.raises(DataError, match="2 speakers cannot be split"):
        split(_data(2, 5, 50))
    with pytest.raises(DataError, match="leave no speaker to train on"):
        split(_data(3, 5, 50), SplitConfig("90%", "90%"))
    mute = _data(5, 2, 50)
    with pytest.raises(DataError, match="add text"):
        split(replace(mute, utterances=tuple(replace(u, text=None) for u in mute.utterances)))


@pytest.mark.parametrize("text", ["", "0", "10 %%", "-5", "x", "3 spk", "1e3", "nan"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="is no size"):
        Size.parse(text)


def test_subsets(small: DataDir, tmp_path: Path) -> None:
    def ids(config: SubsetConfig) -> list[str]:
        return [u.id for u in subset(small, config).utterances]

    assert ids(SubsetConfig("2", "first")) == ["kim-1", "kim-2"]
    assert ids(SubsetConfig("2.3s", "shortest")) == ["kim-1", "kim-2"]
    assert ids(SubsetConfig("1spk", "first")) == ["kim-1", "kim-2"]
    assert ids(SubsetConfig(speakers=("lee",))) == ["lee-1", "lee-2"]
    assert ids(SubsetConfig("50%", "first")) == ["kim-1", "kim-2", "lee-1"]
    assert ids(SubsetConfig("3", seed=5)) == ids(SubsetConfig("3", seed=5))
    draws = {tuple(ids(SubsetConfig("3", seed=seed))) for seed in range(20)}
    assert len(draws) > 5
    (tmp_path / "list").write_text("park-2 anything\n\nkim-2\n")
    assert ids(SubsetConfig(utterances=read_list(tmp_path / "list"))) == ["kim-2", "park-2"]
    for config, said in (
        (SubsetConfig(speakers=("choi",)), r"1 of the speakers .* \(first: choi\)"),
        (SubsetConfig(utterances=("x", "y")), "2 of the utterances"),
        (SubsetConfig("0.5s"), "no utterance .* fits"),
    ):
        with pytest.raises(DataError, match=said):
            subset(small, config)
    with pytest.raises(UsageError, match="no order"):
        SubsetConfig(order="longest")
    (tmp_path / "list").write_text("\n")
    with pytest.raises(DataError, match="lists nothing"):
        read_list(tmp_path / "list")


def test_unions(small: DataDir) -> None:
    kim, rest = small.select(["kim-1", "kim-2"]), small.select([n for n in TEXTS if n[0] != "k"])
    assert combine([rest, kim]).utterances == small.utterances
    with pytest.raises(DataError, match="both have an utterance kim-1"):
        combine([small, kim])
    mute = replace(kim, utterances=tuple(replace(u, text=None) for u in kim.utterances))
    with pytest.raises(DataError, match="has no text, others have"):
        combine([rest, mute])
    with pytest.raises(UsageError):
        combine([])
    same = {
        name: kim.with_extra("utt2lang", dict.fromkeys(("kim-1", "kim-2"), "ko")) for name in "a"
    }
    assert "utt2lang" not in combine([same["a"], rest]).extras  # the others have none


def test_speeds(small: DataDir, tmp_path: Path) -> None:
    fast = perturb_speed(small.with_extra("spk2gender", {"kim": "f"}), (0.9, 1.0, 1.1))
    assert len(fast.utterances) == 18 and len(fast.speakers) == 9
    fast.write(tmp_path / "sp")
    again = DataDir.read(tmp_path / "sp")
    assert again.utterances == fast.utterances
    by_id = {u.id: u for u in again.utterances}
    assert len(by_id["kim-1"].samples(16000)) == 16000
    assert len(by_id["sp0.9-kim-1"].samples(16000)) == round(16000 / 0.9)
    assert len(by_id["sp1.1-kim-1"].samples(16000)) == round(16000 / 1.1)
    assert again.extras["utt2uniq"]["sp0.9-lee-2"] == "lee-2"
    assert again.extras["spk2gender"]["sp1.1-kim"] == "f"
    assert again.durations["sp0.9-kim-1"] == pytest.approx(1 / 0.9)
    for factors in ((), (1.0, 1.0), (0.1,)):
        with pytest.raises(UsageError):
            perturb_speed(small, factors)


def test_speeds_of_segments(tmp_path: Path, small: DataDir) -> None:
    source = small.utterances[5].source
    data = DataDir((DirUtterance("u", "long", "s", "네", 0.25, 1.25, source),))
    perturb_speed(data, (0.8, 1.0)).write(tmp_path / "sp")
    slow, plain = DataDir.read(tmp_path / "sp").utterances
    assert (slow.id, slow.recording) == ("sp0.8-u", "long")
    assert (len(slow.samples(16000)), len(plain.samples(16000))) == (20000, 16000)


@pytest.mark.parametrize(
    "other",
    [
        "칠년 전에 시작했다",
        "7년 전에, 시작했다!",
        "칠 년 전에시작했다",
        "칠 년 전에 시작했다".encode().decode(),
    ],
)
def test_the_same_sentence_in_other_spelling(other: str) -> None:
    import unicodedata

    for text in (other, unicodedata.normalize("NFD", other)):
        assert sentence_key(text) == sentence_key(TEXTS["kim-2"])
    assert sentence_key("7년 전에 시작한다") != sentence_key(TEXTS["kim-2"])


def test_sentences_within_others() -> None:
    index = SentenceIndex()
    index.add("short", "그래 같이 가자")
    index.add("long", "오늘은 날씨가 아주 맑아서 산에 가려고 합니다")
    assert index.find("날씨가 아주 맑아서 산에") == ([], ["long"])
    assert index.find("아주 맑아서 산에") == ([], [])  # three eojeol
    assert index.find("어제 그랬는데 그래 같이 가자 라고 했다") == (
        [],
        [],
    )  # the inner one is short
    around = "그는 오늘은 날씨가 아주 맑아서 산에 가려고 합니다 라고 말했다"
    assert index.find(around) == ([], ["long"])
    assert index.find("그래, 같이 가자.") == (["short"], [])
    assert index.find("") == ([], []) == index.find("...")


@given(st.lists(st.text("가나다라", min_size=1, max_size=3), min_size=4, max_size=9), st.data())
@settings(max_examples=80, deadline=None)
def test_containment_is_found_wherever_it_is(words: list[str], draw: st.DataObject) -> None:
    """Against substring search itself."""
    first = draw.draw(st.integers(0, len(words) - 1))
    inner = words[first : draw.draw(st.integers(first + 1, len(words)))]
    index = SentenceIndex()
    index.add("a", " ".join(words))
    key = "".join(inner)
    long = len(inner) >= 4 and len(key) >= 8 and key != "".join(words)
    assert index.find(" ".join(inner))[1] == (["a"] if long else [])
    index = SentenceIndex()
    index.add("b", " ".join(inner))
    assert index.find(" ".join(words))[1] == (["b"] if long else [])


def test_leaks_by_kind(small: DataDir, tmp_path: Path) -> None:
    train = small.select(["kim-1", "kim-2", "lee-1"])
    test = small.select(["lee-2", "park-1", "park-2"])
    assert [(leak.kind, leak.test) for leak in find_leaks(train, [test])] == [("speaker", "lee")]
    clean = small.select(["park-1", "park-2"])
    assert find_leaks(train, [clean]) == []
    same = tuple(
        replace(u, id=f"x{u.id}", speaker="x", source=train.utterances[0].source, text=text)
        for u, text in zip(
            clean.utterances,
            ("오늘은, 날씨가 아주 맑습니다.", "그가 내일은 같이 산에 갑시다 했다"),
            strict=True,
        )
    )
    leaks = find_leaks(train, [DataDir(same)])
    assert [(leak.kind, leak.test, leak.train) for leak in leaks] == [
        ("sound", "xpark-1", "kim-1"),
        ("sound", "xpark-2", "kim-1"),
        ("sentence", "xpark-1", "kim-1"),
        ("contained", "xpark-2", "lee-1"),
    ]


def test_leaks_into_texts(small: DataDir, tmp_path: Path) -> None:
    lines = "네\n점심은 뭘 먹을까요?\n안녕하세요\n그는 책을 세 권 빌렸습니다 라고 했다\n"
    (tmp_path / "lm.txt.xz").write_bytes(lzma.compress(lines.encode()))
    train, test = small.select(["kim-1"]), small.select(["park-1", "park-2"])
    (one, two) = find_leaks(train, [test], [tmp_path / "lm.txt.xz"])
    assert (one.kind, one.test, Path(one.train).name) == ("sentence", "park-1", "lm.txt.xz:2")
    assert (two.kind, two.test) == ("contained", "park-2")
    hello = DataDir((replace(test.utterances[0], text="안녕하세요"),))
    assert find_leaks(train, [hello], [tmp_path / "lm.txt.xz"]) == []
    assert len(find_leaks(train, [hello], [tmp_path / "lm.txt.xz"], LeakConfig(1))) == 1
    with pytest.raises(DataError, match="cannot be read"):
        find_leaks(train, [test], [tmp_path / "none.txt"])


@pytest.mark.skipif(not CORPUS.exists(), reason="needs ../shared/speech")
def test_the_published_split_has_no_leaks() -> None:
    from asr.data.from_corpus import corpus_directory

    parts = {
        name: combine(
            [
                corpus_directory(corpus, CORPUS, splits=CORPUS / "splits.json", split=name)
                for corpus in ("emotiontts", "pansori")
            ]
        )
        for name in ("train", "dev")
    }
    assert len(parts["train"].utterances) == 1845
    assert sum(parts["train"].durations.values()) == pytest.approx(2.15 * 3600, abs=30)
    assert find_leaks(parts["train"], [parts["dev"]]) == []
    assert all(set(u.text or "") <= set(" ") | {chr(c) for c in range(0xAC00, 0xD7A4)}
               for part in parts.values() for u in part.utterances)  # fmt: skip
