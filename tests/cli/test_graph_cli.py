"""`asr graph`: bundles with another language model, static graphs for Kaldi, refusals."""

from __future__ import annotations

import shutil
from pathlib import Path

import kaldifst
import numpy as np
import pytest

from asr.bundle import GRAPH_FILE, LM_FILE, TREE_FILE, open_bundle, write_bundle
from asr.cli.main import main
from asr.graph.hcl import HclGraph
from asr.graph_building import own_lm, read_emissions, static_graph

SENTENCES = ["나는 학교에 갑니다", "값이 싸다", "오늘은 옷을 안 입었다", "밥을 먹는다"] * 3


@pytest.fixture(scope="module")
def small_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a few sentences; its units are KS X 1001's syllables, not those of the model."""
    folder = tmp_path_factory.mktemp("lm")
    (folder / "text.txt").write_text("\n".join(SENTENCES), encoding="utf-8")
    code = main(["train-lm", "--text", str(folder / "text.txt"), "--order", "2",
                 "--licence", "CC0-1.0", "--output", str(folder / "small.lm")])  # fmt: skip
    assert code == 0
    return folder / "small.lm"


@pytest.fixture(scope="module")
def rebuilt(korean_model: Path, small_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "model"
    arguments = [
        "graph",
        str(korean_model),
        str(out),
        "--lm",
        str(small_lm),
        "--name",
        "작은",
        "--no-across-spaces",
        "--decoder",
        "beam=9",
        "--rescoring",
        "count=30",
        "--lexicon",
        "silence_cost=1.5",
    ]
    assert main(arguments) == 0  # fmt: skip
    return out


def test_a_model_with_another_lm(rebuilt: Path, korean_model: Path) -> None:
    bundle, old = open_bundle(rebuilt), open_bundle(korean_model)
    sections = bundle.manifest.sections
    assert bundle.manifest.name == "작은"
    assert sections["decoder"]["beam"] == 9.0
    before = old.manifest.sections["rescoring"]
    assert sections["rescoring"] == {**before, "count": 30} != before
    assert sections["graph"]["lexicon"]["silence_cost"] == 1.5
    assert sections["graph"]["lexicon"]["across_spaces"] is False
    assert bundle.manifest.licence.endswith("language model: CC0-1.0")
    assert bundle.manifest.licence.split(";")[0] == old.manifest.licence.split(";")[0]
    assert own_lm(bundle).arcs < own_lm(old).arcs
    kept = set(bundle.files) - {GRAPH_FILE, LM_FILE}
    assert {name: bundle.files[name] for name in kept} == {name: old.files[name] for name in kept}


def test_it_recognises(rebuilt: Path) -> None:
    from asr.data_files import shipped
    from asr.recognizer import load

    model = load(rebuilt)
    assert model.transcribe(shipped("samples") / "human-digits-6789.flac").text


def test_nothing_changed_is_the_same_graph(korean_model: Path, tmp_path: Path) -> None:
    assert main(["graph", str(korean_model), str(tmp_path / "again")]) == 0
    again, old = open_bundle(tmp_path / "again"), open_bundle(korean_model)
    assert again.files == old.files
    assert again.manifest == old.manifest


def test_a_model_may_replace_itself(rebuilt: Path, small_lm: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(rebuilt, copy)
    assert main(["graph", str(copy), str(copy)]) == 1  # not without --force
    assert main(["graph", str(copy), str(copy), "--force", "--decoder", "beam=8"]) == 0
    assert open_bundle(copy).manifest.sections["decoder"]["beam"] == 8.0
    assert open_bundle(copy).files[GRAPH_FILE] == open_bundle(rebuilt).files[GRAPH_FILE]


def test_static_graph(rebuilt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "HCLG.fst"
    arguments = ["graph", str(rebuilt), "--static", str(path), "--fst-type", "vector", "--info"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    graph = static_graph(rebuilt)
    assert printed[0] == str(path)
    assert f"static arcs\t{graph.arcs}" in printed
    fst = kaldifst.StdVectorFst.read(str(path))
    assert fst.num_states == graph.states
    arcs = sum(fst.num_arcs(state) for state in range(fst.num_states))
    assert arcs == graph.arcs + graph.emitting  # self-loops
    table = kaldifst.SymbolTable.read_text(str(path.with_name("words.txt")))
    assert [table.find(number + 1) for number in range(9)] == list(graph.units[:9])
    assert main(arguments) == 1  # not without --force
    assert main([*arguments, "--force"]) == 0


def test_info(rebuilt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", str(rebuilt), "--info"]) == 0
    rows = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    bundle = open_bundle(rebuilt)
    tensors = {k: v for k, v in bundle.tensors(GRAPH_FILE).items() if k != "lookahead"}
    assert int(rows["graph arcs"]) == len(HclGraph.from_tensors(tensors).arc_target)
    assert int(rows["lm n-grams"]) == own_lm(bundle).arcs


def test_older_models_say_what_to_do(
    rebuilt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = open_bundle(rebuilt)
    parts = {part: bundle.tensors(part) for part in bundle.files if part != TREE_FILE}
    write_bundle(tmp_path / "old", bundle.manifest, parts)
    assert main(["graph", str(tmp_path / "old"), str(tmp_path / "new")]) == 1
    assert "import the model again" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_damaged_tree_is_refused(
    rebuilt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = open_bundle(rebuilt)
    parts = {part: dict(bundle.tensors(part)) for part in bundle.files}
    parts[TREE_FILE] = {"pdf": np.zeros((3, 2), np.int32), "is_known": np.zeros(3, bool)}
    write_bundle(tmp_path / "bad", bundle.manifest, parts)
    assert main(["graph", str(tmp_path / "bad"), str(tmp_path / "new")]) == 1
    assert "import" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "nothing to do"),
        (["--small-lm", "x.lm"], 2, "--static"),
        (["OUT", "--lexicon", "nonsense=1"], 2, "across_spaces"),
        (["OUT", "--lexicon", "silence_cost=much"], 2, "silence_cost=0.7"),
        (["OUT", "--lexicon", "silence_cost=-1"], 2, "silence_cost"),
        (["OUT", "--lexicon", "mergers=maybe"], 2, "mergers"),
        (["OUT", "--decoder", "beam=0"], 2, "beam"),
        (["OUT", "--rescoring", "count=0"], 2, "count"),
        (["--info", "--rescoring", "count=9"], 2, "give OUT"),
        (["OUT", "--lm", "no/such.lm"], 1, "no such file"),
        (["/dev/null"], 1, "not a model"),
    ],
)
def test_refusals(
    arguments: list[str],
    code: int,
    said: str,
    rebuilt: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = str(tmp_path / "out")
    given = [out if argument == "OUT" else argument for argument in arguments]
    assert main(["graph", str(rebuilt), *given]) == code
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not Path(out).exists()


def test_emissions_survive_the_bundle(korean_model: Path) -> None:
    emissions = read_emissions(open_bundle(korean_model))
    assert emissions.has_positions
    assert len(emissions.table) > 10_000
