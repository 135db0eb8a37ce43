"""The language that glues the nodes of a network."""

import pytest

from asr.acoustic.descriptor import Descriptor, parse_descriptor
from asr.errors import ModelError


def node(name: str) -> Descriptor:
    return Descriptor("Node", name=name)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("tdnn1.relu", node("tdnn1.relu")),
        ("prefinal-chain.linear", node("prefinal-chain.linear")),
        ("Offset(a, -3)", Descriptor("Offset", (node("a"),), numbers=(-3,))),
        ("Offset(a, 3, 0)", Descriptor("Offset", (node("a"),), numbers=(3,))),
        ("Scale(0.66, a)", Descriptor("Scale", (node("a"),), numbers=(0.66,))),
        ("Const(1.0, 512)", Descriptor("Const", numbers=(1.0, 512))),
        ("Round(a, 10)", Descriptor("Round", (node("a"),), numbers=(10,))),
        (
            "ReplaceIndex(ivector, t, 0)",
            Descriptor("ReplaceIndex", (node("ivector"),), "t", (0,)),
        ),
        ("Failover(a,b)", Descriptor("Failover", (node("a"), node("b")))),
        (
            " Sum( a , Sum(b, IfDefined(c)) ) ",
            Descriptor(
                "Sum",
                (
                    node("a"),
                    Descriptor("Sum", (node("b"), Descriptor("IfDefined", (node("c"),)))),
                ),
            ),
        ),
    ],
)
def test_parse(text: str, tree: Descriptor) -> None:
    assert parse_descriptor(text) == tree


def test_nodes_are_listed_in_order() -> None:
    tree = parse_descriptor("Append(Offset(a, -1), b, Sum(a, Scale(2, c)))")
    assert list(tree.nodes()) == ["a", "b", "a", "c"]


@pytest.mark.parametrize(
    "text",
    [
        "", "(", "a b", "Offset(a)", "Offset(a, b)", "Offset(a, 1, 2)", "Sum()", "Sum(a,)",
        "Scale(a, 2)", "Append(a", "Foo(a)", "Failover(a)", "IfDefined(a, b)", "3", "a)", "a;b",
        "Sum(" * 500 + "a" + ")" * 500,
    ],
)  # fmt: skip
def test_malformed_text_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="descriptor"):
        parse_descriptor(text)
