"""Pieces of eojeol as sentencepiece learns them (Kudo & Richardson, EMNLP 2018, demo papers)."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from asr.errors import UsageError
from asr.lm.units import EOJEOL_MARK

_BATCH = 1 << 16


def piece_counts(
    eojeol: Mapping[str, int], size: int, max_length: int, method: str = "unigram"
) -> Counter[str]:
    """Learn pieces, and count them in the text as they cut it.

    Args:
        eojeol: eojeol of the text and how often each occurs.
        size: how many pieces of several syllables to learn, about.
        max_length: syllables of the longest piece.
        method: "unigram" or "bpe".

    Raises:
        UsageError: sentencepiece is not installed, or finds fewer pieces in so little text.
    """
    try:
        import sentencepiece
    except ImportError as error:
        raise UsageError(
            "subword units need the package sentencepiece: install it (pip install 'malsori[lm]')"
            " or choose other units"
        ) from error
    # single syllables, with the mark or without, are pieces too; and <unk> and the bare mark
    singles = {character for word in eojeol for character in word}
    singles |= {EOJEOL_MARK + word[0] for word in eojeol}
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "eojeol.tsv"
        with open(table, "w", encoding="utf-8") as file:
            file.writelines(f"{word}\t{count}\n" for word, count in sorted(eojeol.items()))
        try:
            sentencepiece.SentencePieceTrainer.train(
                input=str(table),
                input_format="tsv",
                model_writer=model,
                model_type=method,
                vocab_size=size + len(singles) + 2,
                hard_vocab_limit=False,
                character_coverage=1.0,
                max_sentencepiece_length=max_length + 1,  # the mark is a character
                normalization_rule_name="identity",
                bos_id=-1,
                eos_id=-1,
                num_threads=1,
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            raise UsageError(f"sentencepiece cannot learn {size} pieces from this text"
                             f" ({error}); ask for fewer") from error  # fmt: skip
    return _count(sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()), eojeol)


def _count(processor: object, eojeol: Mapping[str, int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    words = list(eojeol)
    for start in range(0, len(words), _BATCH):
        batch = words[start : start + _BATCH]
        cuts = processor.encode(batch, out_type=str, num_threads=1)  # type: ignore[attr-defined]
        for word, pieces in zip(batch, cuts, strict=True):
            if pieces[0] == EOJEOL_MARK:  # a mark alone belongs to the piece after it
                pieces[:2] = ["".join(pieces[:2])]
            for piece in pieces:
                counts[piece] += eojeol[word]
    return counts
