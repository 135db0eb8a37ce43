"""Finding models: names, paths, the cache, and two processes that build at once."""

import inspect
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asr import models
from asr.bundle import Manifest, open_bundle, write_bundle
from asr.decoder.confidence import ConfidenceConfig
from asr.decoder.config import DecoderConfig
from asr.decoder.rescoring import RescoringConfig
from asr.errors import ModelError
from asr.graph.lexicon import LexiconConfig
from asr.models import KnownModel, cache_dir, fingerprint, resolve

ROOT = Path(__file__).parent.parent


def build_tiny(out, progress):
    progress(0.5, "building")
    write_bundle(out, Manifest("tiny", "ko", 16000, "Apache-2.0"), {})


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("one")
    return path


@pytest.fixture
def tiny(tmp_path, data, monkeypatch):
    model = KnownModel("tiny", "for tests", (), build_tiny, lambda: [data])
    monkeypatch.setitem(models.KNOWN, "tiny", model)
    monkeypatch.setenv("MALSORI_CACHE", str(tmp_path / "cache"))
    return model


def test_cache_place(monkeypatch, tmp_path):
    monkeypatch.setenv("MALSORI_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("MALSORI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "malsori"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "malsori"


def test_a_name_is_built_once_and_then_found(tiny):
    said = []
    path = resolve("tiny", lambda fraction, message: said.append(message))
    assert open_bundle(path).manifest.name == "tiny" and said == ["building"]
    assert resolve("tiny", lambda fraction, message: said.append(message)) == path
    assert said == ["building"]
    assert [name for name in os.listdir(cache_dir()) if ".tmp-" in name] == []


def test_options_that_a_bundle_holds_are_of_its_fingerprint():
    inputs = models.KNOWN["ko-kaldi"].inputs()
    for kind in (ConfidenceConfig, DecoderConfig, RescoringConfig, LexiconConfig):
        code = Path(inspect.getfile(kind))
        assert any(code == root or root in code.parents for root in inputs), code


def test_changed_data_builds_anew_and_old_builds_go(tiny, data):
    paths = []
    for number in range(5):
        data.write_text(str(number))
        paths.append(resolve("tiny"))
        os.utime(paths[-1], (number, number))
    assert len(set(paths)) == 5
    kept = {path for path in paths if path.exists()}
    assert len(kept) == models.KEPT_BUILDS and paths[-1] in kept


def test_a_path_is_taken_as_it_is(tmp_path, tiny):
    build_tiny(tmp_path / "mine", lambda fraction, message: None)
    assert resolve(tmp_path / "mine") == tmp_path / "mine"


def test_a_folder_may_be_called_like_a_model(tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    assert resolve("./tiny") == Path("tiny")
    assert resolve(resolve("./tiny")) == Path("tiny")
    assert resolve("tiny").parent == cache_dir()


def test_unknown_name_lists_the_known_ones(tiny):
    with pytest.raises(ModelError, match=r"klingon: no such model: .*ko, ko-kaldi.*import-kaldi"):
        resolve("klingon")


def test_missing_package_is_named(tiny, monkeypatch):
    lacking = KnownModel("lacking", "", ("no-such-package-xyz==1.0",), build_tiny, lambda: [])
    other = KnownModel("other", "", ("numpy==0.0.1",), build_tiny, lambda: [])
    monkeypatch.setitem(models.KNOWN, "lacking", lacking)
    monkeypatch.setitem(models.KNOWN, "other", other)
    with pytest.raises(ModelError, match=r"pip install no-such-package-xyz==1\.0"):
        resolve("lacking")
    with pytest.raises(ModelError, match=r"numpy 0\.0\.1 and .* is installed: pip install"):
        resolve("other")


def test_failed_build_leaves_nothing(tiny, monkeypatch):
    def failing(out, progress):
        out.mkdir()
        (out / "half").write_text("x")
        raise ModelError("the source is damaged")

    failed = KnownModel("tiny", "", (), failing, tiny.inputs)
    monkeypatch.setitem(models.KNOWN, "tiny", failed)
    with pytest.raises(ModelError, match="the source is damaged"):
        resolve("tiny")
    assert os.listdir(cache_dir()) == [".tiny.lock"]


def test_damaged_build_in_the_cache_is_made_again_when_deleted(tiny):
    path = resolve("tiny")
    (path / "model.json").write_text("{")
    wanted = r"delete the folder .* the next call makes a model of the cache again"
    with pytest.raises(ModelError, match=wanted):
        open_bundle(path)


def test_unwritable_cache_is_named(tiny, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MALSORI_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="set MALSORI_CACHE"):
        resolve("tiny")


def test_leftovers_of_a_killed_build_are_removed(tiny):
    leftover = cache_dir() / f".tiny-{fingerprint(tiny)}.tmp-999999"
    leftover.mkdir(parents=True)
    (leftover / "half.safetensors").write_bytes(b"x")
    begun = cache_dir() / f".tiny-decoder-{fingerprint(tiny)}.tmp-999999"  # another model's
    begun.mkdir()
    resolve("tiny")
    assert not leftover.exists() and begun.exists()


WORKER = """
import sys, time
from pathlib import Path
from asr import models
from asr.bundle import Manifest, write_bundle

def build(out, progress):
    with open(sys.argv[1], "a") as log:
        log.write("built\\n")
    time.sleep(1.0)
    write_bundle(out, Manifest("slow", "ko", 16000, "Apache-2.0"), {})

models.KNOWN["slow"] = models.KnownModel("slow", "", (), build, lambda: [])
print("ready", flush=True)
sys.stdin.readline()
path = models.resolve("slow", lambda fraction, message: print(message, flush=True))
assert models.is_bundle(path)
"""


def start_worker(log, cache):
    environment = os.environ | {"MALSORI_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(log)], env=environment, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.stdout.readline() == "ready\n"
    return worker


def test_two_processes_build_once(tmp_path):
    log = tmp_path / "log"
    workers = [start_worker(log, tmp_path / "cache") for _ in range(2)]
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    output = [worker.communicate(timeout=60)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert log.read_text() == "built\n"
    assert sorted(output) == ["", "waiting for another process that is importing slow\n"]


def test_a_killed_builder_does_not_block_the_next(tmp_path):
    log = tmp_path / "log"
    first = start_worker(log, tmp_path / "cache")
    first.stdin.write("go\n")
    first.stdin.flush()
    while not log.exists():
        time.sleep(0.01)
    first.kill()
    first.communicate()
    second = start_worker(log, tmp_path / "cache")
    assert second.communicate("go\n", timeout=60)[0] == "" and second.returncode == 0
    assert log.read_text() == "built\nbuilt\n"
