"""The `asr` command: lazy start, exit codes, one line an error; its smaller subcommands."""

import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asr
from asr.bundle import Manifest, write_bundle
from asr.cli import main as main_module
from asr.cli.adaptation import Adaptation
from asr.cli.main import COMMANDS, main

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("torch", "numba", "librosa", "scipy", "soundfile", "tqdm")


def run_asr(*arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "asr", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, **options)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"],
                                       *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments):
    script = (
        "import sys; from asr.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as error: assert error.code == 0, error.code\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    run = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True,
                         env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert run.returncode == 0, run.stderr
    assert "usage: asr" in run.stdout or run.stdout == f"malsori {asr.__version__}\n"


def test_help_lists_every_command():
    run = run_asr("--help")
    assert run.returncode == 0 and all(name in run.stdout for name in COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["sing"], ["transcribe"], ["transcribe", "--jobs", "0",
                         "a.wav"], ["transcribe", "-f", "doc", "a.wav"],
                         ["transcribe", "-j", "x", "a.wav"]])
def test_wrong_usage_exits_2(arguments, capsys):
    try:
        code = main(arguments)
    except SystemExit as exit:
        code = exit.code
    assert code == 2
    error = capsys.readouterr().err
    assert "usage: asr" in error and "_positive" not in error


@pytest.mark.parametrize(("arguments", "usage"), [
    (["transcribe", "--formt", "srt", "a.wav"], "usage: asr transcribe "),
    (["live", "--grammer", "x", "a.wav"], "usage: asr live "),
    (["serve", "--port", "99999"], "usage: asr serve "),
    (["serve", "--port", "http"], "usage: asr serve "),
    (["--nothing"], "usage: asr "),
])  # fmt: skip
def test_the_usage_told_is_that_of_the_subcommand(arguments, usage, capsys):
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(usage) and arguments[1 if len(arguments) > 1 else 0] in error


@pytest.mark.parametrize("command", ["search", "serve"])
def test_a_sound_is_no_catalogue(command, tmp_path, capsys):
    (tmp_path / "text.wav").write_text("서울역\n", encoding="utf-8")
    more = ["--text", "서울역"] if command == "search" else []
    assert main([command, "--catalog", str(tmp_path / "text.wav"), *more]) == 2
    assert "text.wav is called like a sound" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (asr.AsrError("bad\nsound"), 1, "asr: error: bad sound\n"),
        (FileNotFoundError(2, "No such file or directory", "x"), 1,
         "asr: error: x: No such file or directory\n"),
        (KeyboardInterrupt(), 130, "asr: error: interrupted\n"),
        (ZeroDivisionError("0"), 1, "asr: error: internal error: ZeroDivisionError: 0"
         " (run again with --debug and report it)\n"),
        (MemoryError(), 1, "asr: error: out of memory: try shorter files, or --jobs 1\n"),
    ],
)
def test_errors_become_one_line(error, code, line, monkeypatch, capsys):
    def failing(args):
        raise error

    monkeypatch.setattr("asr.cli.info.run", failing)
    assert main(["info"]) == code
    assert capsys.readouterr().err == line
    if isinstance(error, Exception):
        for arguments in [["--debug", "info"], ["info", "--debug"]]:
            with pytest.raises(type(error)):
                main(arguments)


def test_an_interrupt_that_a_callback_swallows_is_told_as_one(monkeypatch, capsys):
    """Ctrl-C while numba compiles: Python prints it, and the function is missing afterwards."""

    def run(args):
        @ctypes.CFUNCTYPE(None)
        def callback():
            raise KeyboardInterrupt

        callback()
        raise RuntimeError("no compiled object yet")

    monkeypatch.setattr("asr.cli.info.run", run)
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "asr: error: interrupted\n"


def test_an_interrupt_waits_for_an_import(tmp_path):
    """C++ that is called while torch is imported would abort the process."""
    (tmp_path / "slowly_imported.py").write_text(
        "import os, signal, time\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "time.sleep(0.2)\n"
        "done = True\n"
    )
    script = (
        "import signal, sys, time, types\n"
        "from asr.cli import info\n"
        "from asr.cli.main import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def run(args):\n"
        "    import slowly_imported\n"
        "    assert slowly_imported.done\n"
        "    print('imported', flush=True)\n"
        "    time.sleep(30)\n"
        "info.run = run\n"
        "code = main(['info'])\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "sys.exit(code)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          env=environment, timeout=20)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (
        130, "imported\n", "asr: error: interrupted\n")  # fmt: skip


@pytest.mark.parametrize("option", ["--words", "--hotwords", "--grammar"])
def test_a_sound_is_no_list_of_words(option, tmp_path, capsys):
    sound = tmp_path / "a.wav"
    sound.touch()
    assert main(["transcribe", option, str(sound), str(sound)]) == 2
    assert f"{option} {sound} is called like a sound" in capsys.readouterr().err


def test_a_list_without_words_is_told(tmp_path, caplog):
    (tmp_path / "words.txt").write_text("\n")
    Adaptation.read([tmp_path / "words.txt"])
    assert f"{tmp_path / 'words.txt'} holds no word" in caplog.text


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["transcirbe", "a.wav"], "did you mean transcribe?"),
     ([__file__], f"did you mean asr transcribe {__file__}?"),
     (["qqq"], "no command qqq (asr --help"),
     (["info", "--jsno"], "did you mean --json?"), (["info", "--qqq"], "--qqq\n"),
     (["live", "a.wav", "m"], "arguments: m\n"), (["--vresion"], "did you mean --version?"),
     (["--model", "ko", "live"], "--model: options of a command come after its name\n"),
     (["--json", "info"], "--json: options of a command come after its name\n")],
)  # fmt: skip
def test_a_slip_is_told_with_what_was_meant(words, meant, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert meant in capsys.readouterr().err


def test_jobs_share_the_threads_that_the_user_allows(monkeypatch):
    import torch

    from asr.cli import models

    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(models, "model_path", lambda name: name)
    monkeypatch.setattr("asr.recognizer.load", lambda path, **options: path)
    for allowed, jobs in (("6", 2), ("1", 2), ("3", 5), ("", 1)):
        monkeypatch.setenv("OMP_NUM_THREADS", allowed)
        models.load_model("any", jobs=jobs)
    assert chosen == [3, 1, 1, len(os.sched_getaffinity(0))]


def test_a_reader_that_leaves_is_no_error():
    """As in `asr info | true`: no traceback and no message."""
    script = f"{sys.executable} -m asr info --json {'data/samples/*.flac ' * 40} | head -c 10"
    run = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.stderr == "" and len(run.stdout) == 10


def test_registry_matches_the_modules():
    modules = {path.stem for path in (ROOT / "asr" / "cli").glob("*.py")}
    commands = {module.rpartition(".")[2] for module, _ in main_module.COMMANDS.values()}
    assert commands <= modules


@pytest.mark.parametrize("known", [True, False])
def test_progress_bar_on_a_terminal_only(monkeypatch, known, capsys):
    from asr.cli.progress import SoundBar, shown_progress

    def show():
        with shown_progress() as progress:
            progress(0.5, "importing")
        bar = SoundBar(2.0 if known else None)
        bar.advance(1.5)
        bar.advance(1.5)  # a header that promised too little
        with bar.aside():
            print("text")
        bar.close()
        return capsys.readouterr()

    assert show() == ("text\n", "asr: importing\n")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    out, err = show()
    assert out == "text\n" and "importing:  50%" in err and "Warning" not in err
    assert ("100%" in err) if known else ("3 s of sound" in err)


@pytest.fixture
def sound(tmp_path):
    soundfile.write(tmp_path / "b.wav", np.zeros(32_000), 16_000)
    return tmp_path / "b.wav"


def test_score(tmp_path, capsys):
    (tmp_path / "ref").write_text("a 오늘 날씨가 좋다\nb 네\n", encoding="utf-8")
    (tmp_path / "hyp").write_text("b 네\na 오늘 날씨가 좋아\n", encoding="utf-8")
    assert main(["score", str(tmp_path / "ref"), str(tmp_path / "hyp"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cer"]["rate"] == pytest.approx(1 / 8)
    assert main(["score", str(tmp_path / "ref"), str(tmp_path / "hyp")]) == 0
    assert "12.50%" in capsys.readouterr().out
    assert main(["score", str(tmp_path / "ref"), str(tmp_path / "none")]) == 1


def test_info_of_sound_and_model(sound, tmp_path, capsys):
    assert main(["info", str(sound)]) == 0
    out = capsys.readouterr().out
    assert "sample_rate: 16000" in out and "duration: 2.0" in out
    manifest = Manifest("tiny", "ko", 16000, "CC0-1.0", sections={"phones": list(range(46))})
    write_bundle(tmp_path / "model", manifest, {"a.safetensors": {"x": np.zeros(3)}})
    assert main(["info", str(tmp_path / "model")]) == 0
    out = capsys.readouterr().out
    assert "licence: CC0-1.0" in out and "phones: (46 values)" in out and "a.safetensors" in out
    assert main(["info", "--json", str(tmp_path / "model")]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "tiny"
    assert main(["info", "nope"]) == 1
    error = capsys.readouterr().err
    assert "nope: no such file" in error and "ko, ko-kaldi, ko-whisper" in error


def test_info_lists_known_models(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MALSORI_CACHE", str(tmp_path))
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "ko-kaldi" in out and str(tmp_path) in out


@pytest.mark.parametrize("option", ["--frame-length", "--frame-shift"])
def test_features_of_endless_frames_are_refused(sound, tmp_path, capsys, option):
    arguments = ["features", str(sound), "--output", str(tmp_path / "x.npy")]
    assert main([*arguments, option, "1e9"]) == 2
    assert f"{option}" in capsys.readouterr().err and not (tmp_path / "x.npy").exists()


def test_pronounce(capsys, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO("\ufeff국물\n".encode()), encoding="ascii")
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["pronounce", "값이", "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split("\t") for line in lines]
    assert [row[0] for row in rows] == ["값이", "국물"]
    assert [row[1].split("/")[0] for row in rows] == ["갑씨", "궁물"]
    assert rows[1][2] == "g u ng m u l2"


def test_pronounce_refuses_what_is_not_utf_8(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("값\n".encode() + b"\xb0\n")))
    assert main(["pronounce", "-"]) == 1
    assert "<stdin> line 2 is not UTF-8" in capsys.readouterr().err
    assert main(["pronounce", os.fsdecode(b"\xb0\xa1")]) == 1
    assert "not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "left_out"), [("밥 ㅋㅋ 먹자", "ㅋㅋ"), ("蠻 소리", "蠻"),
                                                ("좋아 😀", "😀"), ("國手戰", "手戰"),
                                                ("5㎏ ½.", None)])
def test_pronounce_says_what_it_leaves_out(text, left_out, capsys, caplog):
    assert main(["pronounce", text]) == 0
    assert capsys.readouterr().out.startswith(f"{text}\t")
    said = [record.args[1] for record in caplog.records]
    assert said == ([left_out] if left_out else [])


def test_import_kaldi_looks_at_its_arguments_first(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("asr.importing.import_kaldi", lambda *args, **kwargs: None)
    out = tmp_path / "out"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    write_bundle(out, Manifest("tiny", "ko", 16000, "CC0-1.0"), {})
    for arguments, message in [
        ([out], "already holds a model: give --force"),
        ([tmp_path / "full"], "exists and is not a model"),
        ([tmp_path / "new", "--lm", tmp_path / "none.lm"], "none.lm: no such file"),
        ([tmp_path / "full" / "x" / "new"], "cannot be written: Not a directory"),
    ]:
        assert main(["import-kaldi", str(tmp_path), *map(str, arguments)]) == 1
        assert message in capsys.readouterr().err
    assert main(["import-kaldi", str(tmp_path), str(out), "--force"]) == 0


def test_import_kaldi_reports_a_wrong_folder(tmp_path, capsys):
    assert main(["import-kaldi", str(tmp_path / "none"), str(tmp_path / "out")]) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class _Interrupted:
    def __del__(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize("fails", [False, True])
def test_an_interrupt_that_python_only_prints_is_not_lost(capsys, fails):
    ticks = []

    def run(args):
        _Interrupted()  # raised where nobody can catch it
        if fails:
            raise RuntimeError("something is missing now")
        for _ in range(500):
            ticks.append(time.sleep(0.01))
        return 0

    module = types.SimpleNamespace(run=run)
    hook = sys.unraisablehook
    # a test run in the background has SIGINT ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = main_module._guarded(module, types.SimpleNamespace(debug=False))
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == main_module.INTERRUPTED and len(ticks) < 400
    assert capsys.readouterr().err == "asr: error: interrupted\n"
    assert sys.unraisablehook is hook
    time.sleep(2 * main_module.MOMENT)  # nothing comes later
