"""Speech corpora on disk as lists of utterances."""

from asr.data.corpora import (
    CORPUS_FOLDERS,
    Utterance,
    load_split,
    read_emotiontts,
    read_pansori,
)

__all__ = ["CORPUS_FOLDERS", "Utterance", "load_split", "read_emotiontts", "read_pansori"]
