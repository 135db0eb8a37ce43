"""Every sound around a syllable boundary stands for letters, and for the right ones."""

from __future__ import annotations

from asr.hangul.jamo import CODAS, ONSETS, SILENT_ONSET
from asr.hangul.junction import SURFACE_CODAS, Boundary, junction
from asr.hangul.realisation import Letters, coda_letters, realised

EXAMPLES = {
    # written coda and onset, surface coda and onset: what they stand for
    ("ㅅ", "ㅇ", "", "ㅅ"): ("", "ㅅ", ""),  # 옷이 오시
    ("ㅅ", "ㅇ", "", "ㄷ"): ("", "ㅅ", ""),  # 옷 안 오단
    ("ㅄ", "ㅇ", "ㅂ", "ㅆ"): ("ㅂ", "ㅅ", ""),  # 값이 갑씨
    ("ㅄ", "ㄷ", "ㅂ", "ㄸ"): ("ㅂ", "", "ㄷ"),  # 값도 갑또
    ("ㅄ", "ㅁ", "ㅁ", "ㅁ"): ("ㅂ", "", "ㅁ"),  # 값만 감만
    ("ㄱ", "ㅁ", "ㅇ", "ㅁ"): ("ㄱ", "", "ㅁ"),  # 국물 궁물
    ("ㅎ", "ㄷ", "", "ㅌ"): ("", "ㅎ", "ㄷ"),  # 좋다 조타
    ("ㅎ", "ㅇ", "", ""): ("", "", ""),  # 좋아 조아
    ("ㅎ", "ㅅ", "", "ㅆ"): ("", "ㅎ", "ㅅ"),  # 닿소 다쏘
    ("ㅎ", "ㄴ", "ㄴ", "ㄴ"): ("ㅎ", "", "ㄴ"),  # 놓는 논는
    ("ㄶ", "ㅇ", "", "ㄴ"): ("", "ㄴ", ""),  # 않은 아는
    ("ㄶ", "ㄷ", "ㄴ", "ㅌ"): ("ㄴ", "ㅎ", "ㄷ"),  # 많다 만타
    ("ㄶ", "ㄴ", "ㄴ", "ㄴ"): ("ㄴ", "", "ㄴ"),  # 않는 안는
    ("ㅀ", "ㄴ", "ㄹ", "ㄹ"): ("ㄹ", "", "ㄴ"),  # 앓는 알른
    ("ㄺ", "ㄱ", "ㄹ", "ㄲ"): ("ㄹ", "", "ㄱ"),  # 맑게 말께
    ("ㄺ", "ㄱ", "ㄱ", "ㄲ"): ("ㄱ", "", "ㄱ"),  # 닭과 닥꽈
    ("ㄺ", "ㅎ", "ㄹ", "ㅋ"): ("ㄹ", "ㄱ", "ㅎ"),  # 읽히다 일키다
    ("ㄳ", "ㅎ", "", "ㅋ"): ("", "ㄱ", "ㅎ"),  # 몫 하나 모카나
    ("ㄼ", "ㄴ", "ㅁ", "ㄴ"): ("ㅂ", "", "ㄴ"),  # 밟는 밤는
    ("ㄵ", "ㅎ", "ㄴ", "ㅊ"): ("ㄴ", "ㅈ", "ㅎ"),  # 앉히다 안치다
    ("ㅌ", "ㅇ", "", "ㅊ"): ("", "ㅌ", ""),  # 같이 가치
    ("ㄷ", "ㅎ", "", "ㅊ"): ("", "ㄷ", "ㅎ"),  # 굳히다 구치다
    ("ㄴ", "ㄹ", "ㄹ", "ㄹ"): ("ㄴ", "", "ㄹ"),  # 신라 실라
    ("ㄴ", "ㅎ", "", "ㄴ"): ("", "ㄴ", ""),  # 전화 저놔
    ("ㅁ", "ㅇ", "ㅁ", "ㄴ"): ("ㅁ", "", "ㅇ"),  # 솜이불 솜니불
    ("ㄹ", "ㅇ", "ㄹ", "ㄹ"): ("ㄹ", "", "ㅇ"),  # 물약 물략
    ("ㅅ", "ㄱ", "", "ㄲ"): ("", "", "ㄱ"),  # 냇가 내까
    ("ㄲ", "ㅇ", "", "ㄱ"): ("", "ㄲ", ""),  # 밖 안 바간
    ("ㅇ", "ㅇ", "ㅇ", ""): ("ㅇ", "", ""),  # 강이 강이
}


def test_examples() -> None:
    for (coda, onset, said_coda, said_onset), letters in EXAMPLES.items():
        found = realised(CODAS.index(coda), ONSETS.index(onset), said_coda, said_onset)
        assert found == Letters(*letters), (coda, onset)


def test_every_sound_of_every_junction_stands_for_letters_in_their_order() -> None:
    for coda in range(len(CODAS)):
        for onset, letter in enumerate(ONSETS):
            written = coda_letters(coda) + letter
            surfaces = {
                (SURFACE_CODAS[surface.coda],
                 "" if surface.onset == SILENT_ONSET else ONSETS[surface.onset])
                for boundary in Boundary
                for nucleus in range(21)
                for surface in junction(coda, boundary, onset, nucleus)
            }  # fmt: skip
            for said_coda, said_onset in surfaces:
                found = realised(coda, onset, said_coda, said_onset)
                assert bool(found.coda) == bool(said_coda)
                assert bool(found.moved + found.onset) == bool(said_onset)
                spelled = iter(written)
                assert all(part in spelled for part in found.coda + found.moved + found.onset)


def test_clusters_are_two_letters_and_twins_one() -> None:
    assert [coda_letters(CODAS.index(coda)) for coda in ("ㄳ", "ㄲ", "ㅆ", "ㅀ", "")] == [
        "ㄱㅅ", "ㄲ", "ㅆ", "ㄹㅎ", ""]  # fmt: skip
