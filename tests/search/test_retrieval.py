"""Retrieval: an index finds what measuring every entry finds; phrases as people say them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import UsageError
from asr.search import Catalog, Entry, Index, SearchConfig, Searcher, SearchResult, search
from asr.search.carriers import is_carrier, is_particle
from asr.search.costs import phonetic_costs
from asr.search.distance import distance
from asr.search.grams import GRAM
from asr.search.hypotheses import hypotheses
from asr.search.query_graph import query_graph
from asr.search.retrieval import probabilities

NAMES = (
    "서울역", "서울숲", "강남역", "강남구청", "가산디지털단지역", "남산타워", "불국사",
    "해운대 해수욕장", "제주국제공항", "독도", "광화문", "청량리역", "경복궁", "아이유",
    "방탄소년단", "블랙핑크", "조용필",
    "봄날", "밤편지", "좋은 날", "벚꽃 엔딩", "국립중앙박물관", "대전", "대정", "신라", "실라",
)  # fmt: skip
SYLLABLES = "가나다라마바사아자차카타파하각난달람합옷꽃씨게개외왜역녁"
WORD = st.text(st.sampled_from(SYLLABLES), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def index():
    return Index.build(NAMES)


@pytest.mark.parametrize("query, name, intent", [
    ("서울역 근처 맛집 찾아줘", "서울역", ("근처", "맛집", "찾아줘")),
    ("서울역에서 강아지 병원 어디 있어", "서울역", ("강아지", "병원", "어디", "있어")),
    ("서울력까지 얼마나 걸려", "서울역", ("얼마나", "걸려")),
    ("강남역으로 가자", "강남역", ("가자",)),
    ("강남녁 날씨 알려 줘", "강남역", ("날씨", "알려", "줘")),
    ("가산 디지털 단지역 몇 번 출구", "가산디지털단지역", ("몇", "번", "출구")),
    ("가산디지탈단지여게서 내려 주세요", "가산디지털단지역", ("게서", "내려", "주세요")),
    ("남산타워는 몇 시까지 해요", "남산타워", ("몇", "시까지", "해요")),
    ("불국사랑 석굴암 보고 싶어", "불국사", ("석굴암", "보고", "싶어")),
    ("해운대해수욕장 가는 길", "해운대 해수욕장", ("가는", "길")),
    ("독도는 우리 땅 틀어 줘", "독도", ("우리", "땅", "틀어", "줘")),
    ("아이유가 부른 노래 들려줘", "아이유", ("부른", "노래", "들려줘")),
    ("조용필의 노래 재생해 줘", "조용필", ("노래", "재생해", "줘")),
    ("벗꽃엔딩 틀어 줘", "벚꽃 엔딩", ("틀어", "줘")),
    ("박물관 말고 국립중앙방물관 찾아줘", "국립중앙박물관", ("박물관", "말고", "찾아줘")),
    ("대전에 가고 싶어요", "대전", ("가고", "싶어요")),
    ("신라의 수도", "신라", ("수도",)),
    ("광화문", "광화문", ()),
    ("제주 국제 공항까지요", "제주국제공항", ()),
])  # fmt: skip
def test_phrases(index, query, name, intent):
    first = search(index, query).hits[0]
    assert (first.name, first.intent) == (name, intent)


@pytest.mark.parametrize(
    "rest", ["에서", "까지", "은", "는", "으로", "이랑", "에서는", "입니다", "의", "께서도"]
)
def test_particles(rest):
    assert is_particle(rest)


@pytest.mark.parametrize("rest", ["근처", "역", "시장", "대교", "타워", "숲"])
def test_no_particles(rest):
    assert not is_particle(rest)


@pytest.mark.parametrize(
    "word",
    ["찾아줘", "틀어줘요", "알려주세요", "근처", "근처에", "어디야", "노래", "검색해", "맛집"],
)
def test_carriers(word):
    assert is_carrier(word)


@pytest.mark.parametrize("word", ["서울역", "아이유", "광화문", "밤편지", "독도"])
def test_no_carriers(word):
    assert not is_carrier(word)


def test_a_carrier_word_is_found_where_nothing_else_was_asked():
    index = Index.build(["노래", "아이유", "맛집"])
    assert search(index, "아이유 노래 틀어 줘").hits[0].name == "아이유"
    assert search(index, "노래").hits[0].name == "노래"


def brute_force(index, texts, config):
    """Every entry's best score, one after the other."""
    searcher = Searcher(index, config)
    graph, best = query_graph(texts, config), {}
    for form, entry in enumerate(index.forms.entry.tolist()):
        score = float(searcher.worth[form]) - distance(graph, index.form(form), phonetic_costs())
        best[entry] = max(best.get(entry, -np.inf), score)
    return best


@settings(deadline=None, max_examples=60)
@given(
    st.lists(WORD, min_size=1, max_size=20, unique=True),
    st.lists(st.lists(WORD, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=3),
)
def test_the_index_finds_what_brute_force_finds(names, texts):
    index = Index.build(names)
    config = SearchConfig(top=len(names), floor=-1e6)
    asked = hypotheses([(text, 1.0 + place) for place, text in enumerate(texts)])
    found = {one.entry: one.evidence for one in Searcher(index, config).find(asked)}
    every = brute_force(index, asked, config)
    for entry, score in found.items():
        assert score == pytest.approx(every[entry], abs=0.02)
    least = phonetic_costs().least_per_gram(GRAM)
    for entry, score in every.items():
        form = index.forms.entry.tolist().index(entry)
        worth, grams = Searcher(index, config).worth[form], int(index.postings.total[form])
        if grams == 0 or worth - score < least * grams:  # near: it shares an n-gram
            assert entry in found, names[entry]


def test_long_queries_are_searched_all_through(index):
    before = "오늘은 날씨가 참 좋아서 일찍 일어나 밥을 먹고 책을 읽다가 친구를 만나러 나갔는데 "
    assert search(index, before + "청량리역에서 만나기로 했습니다").hits[0].name == "청량리역"
    assert search(index, "청량리역에서 만나기로 했습니다 " + before).hits[0].name == "청량리역"


def test_nbest_finds_what_the_best_text_lacks(index):
    texts = [("북국 사람이 보고 싶어", 0.6), ("불국사를 보고 싶어", 0.3), ("복숭아 보고 싶어", 0.1)]
    assert search(index, texts).hits[0].name == "불국사"
    hit = search(index, texts).hits[0]
    assert (hit.matched, hit.intent) == ("불국사", ("보고", "싶어"))
    assert search(index, texts).text == "북국 사람이 보고 싶어"


def test_popularity_decides_between_homophones():
    index = Index.build(Catalog([Entry("게장", 1.0), Entry("개장", 900.0), Entry("계단")]))
    assert search(index, "게장 찾아줘").hits[0].name == "개장"
    alike = SearchConfig(popularity_scale=0.0)
    assert search(index, "게장 찾아줘", alike).hits[0].name == "게장"


def test_aliases_and_payload_come_back():
    entries = [Entry("방탄소년단", 9.0, ("BTS",), ("id=7",)), Entry("비틀스")]
    found = search(Index.build(Catalog(entries)), "비티에스 노래 틀어 줘").hits[0]
    assert (found.name, found.payload) == ("방탄소년단", ("id=7",))


def test_probabilities_are_shares():
    scores = probabilities(np.array([9.0, 5.0, 1.0]), SearchConfig())
    assert (np.diff(scores) < 0).all() and 0 < scores.sum() < 1
    lone = [probabilities(np.array([x]), SearchConfig(absent_score=4.0))[0] for x in (0, 4, 9)]
    assert lone[1] == pytest.approx(0.5) and lone[0] < 0.5 < lone[2]


def test_nothing_is_asked(index):
    for query in ("", "   ", "?!", "※"):
        assert search(index, query).hits == ()


def test_numbers_and_letters_are_read(index):
    index = Index.build(["을지로3가역", "5G 요금제", "KBS"])
    assert search(index, "을지로 삼가역 어디야").hits[0].name == "을지로3가역"
    assert search(index, "을지로3가역 어디야").hits[0].name == "을지로3가역"
    assert search(index, "케이비에스 틀어 줘").hits[0].name == "KBS"


def test_senseless_queries(index):
    with pytest.raises(UsageError, match="share"):
        search(index, [("서울역", -1.0)])
    with pytest.raises(UsageError, match="syllables"):
        search(index, "가" * 500)
    with pytest.raises(UsageError, match="not negative"):
        SearchConfig(cut_cost=-1)


def test_json_round_trip(index):
    found = search(index, "서울역 근처 맛집 찾아줘")
    assert found.hits
    again = SearchResult.from_dict(found.to_dict())
    assert again.to_dict() == found.to_dict()
    assert again.hits[0].intent == found.hits[0].intent
