"""The left-biphone table and how it is completed."""

import numpy as np
import pytest

from asr.errors import ModelError
from asr.hmm.context import ContextTree, can_follow
from asr.hmm.phones import PhoneTable, Position

B, E, I, S, NONE = (  # noqa: E741
    Position.BEGIN,
    Position.END,
    Position.INTERNAL,
    Position.SINGLETON,
    Position.NONE,
)


def tree_of(pairs: dict[tuple[int, int], tuple[int, int]], num_phones: int) -> ContextTree:
    rows = np.array([[*key, *value] for key, value in pairs.items()])
    return ContextTree.from_pairs(*rows.T, num_phones)


def test_unknown_pairs_take_the_pdfs_of_the_most_similar_left_phone() -> None:
    # phones 1 and 2 act alike as left context of 3 and 4, phone 3 acts otherwise
    pairs = {
        (1, 3): (10, 11), (2, 3): (10, 11), (3, 3): (12, 13),
        (1, 4): (20, 21), (2, 4): (20, 21), (3, 4): (22, 23),
        (1, 1): (30, 31), (3, 1): (32, 33),
    }  # fmt: skip
    tree = tree_of(pairs, 4)
    assert tree.pdfs(2, 1) == (30, 31)
    assert not tree.is_known[2, 1]
    assert all(tree.pdfs(*key) == value for key, value in pairs.items())
    assert tree.is_known.sum() == len(pairs)


def test_phones_that_do_not_exist_are_refused() -> None:
    tree = tree_of({(0, 1): (0, 1), (1, 2): (2, 3)}, 3)
    assert tree.pdfs(2, 2) == (2, 3)
    for left, phone in ((1, 3), (1, 0), (9, 1), (-1, 1)):
        with pytest.raises(ModelError, match="no phone"):
            tree.pdfs(left, phone)


def test_positions_that_can_follow_each_other() -> None:
    assert can_follow(B, I) and can_follow(B, E) and can_follow(I, I) and can_follow(I, E)
    assert can_follow(E, B) and can_follow(S, S) and can_follow(NONE, B) and can_follow(E, NONE)
    assert not (can_follow(E, I) or can_follow(B, B) or can_follow(I, S) or can_follow(B, NONE))


def test_variants_list_what_the_model_holds() -> None:
    phones = PhoneTable.from_names([], ["a", "b"])  # a: 1-4, b: 5-8 as B E I S
    tree = tree_of({(1, 6): (0, 1), (2, 5): (2, 3), (0, 5): (4, 5), (3, 7): (6, 7)}, 8)
    assert tree.variants(phones, "a", "b") == {(B, E): (0, 1), (E, B): (2, 3), (I, I): (6, 7)}
    assert tree.variants(phones, "", "b") == {(NONE, B): (4, 5)}
    # nothing known of b after b: all possible pairs, filled
    filled = tree.variants(phones, "b", "b")
    assert (I, I) in filled and (E, B) in filled and (B, I) in filled


def test_tensors_round_trip_and_are_checked() -> None:
    tree = tree_of({(0, 1): (0, 1)}, 1)
    again = ContextTree.from_tensors(tree.to_tensors())
    assert again.pdfs(0, 1) == (0, 1)
    with pytest.raises(ModelError, match="lacks"):
        ContextTree.from_tensors({"pdf": tree.pdf})
    with pytest.raises(ModelError, match="do not fit"):
        ContextTree.from_tensors({"pdf": tree.pdf, "is_known": tree.is_known[:1]})
