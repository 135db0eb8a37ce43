"""The `asr` command: lazy start, exit codes, one line an error, outputs and their places."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asr
from asr.bundle import Manifest, write_bundle
from asr.cli import main as main_module
from asr.cli import transcribe
from asr.cli.main import COMMANDS, main
from asr.result import Result, Segment, Word

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


def test_a_reader_that_leaves_is_no_error():
    """As in `asr info | true`: no traceback and no message."""
    script = f"{sys.executable} -m asr info --json {'data/samples/*.flac ' * 40} | head -c 10"
    run = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.stderr == "" and len(run.stdout) == 10


def test_registry_matches_the_modules():
    modules = {path.stem for path in (ROOT / "asr" / "cli").glob("*.py")}
    commands = {module.rpartition(".")[2] for module, _ in main_module.COMMANDS.values()}
    assert commands <= modules


# --- transcribe, with a stand-in that says how much sound it heard -------------------------------


class CountingModel:
    """Recognises every whole second as a word."""

    sample_rate = 16000

    def stream(self, **detail):
        return CountingStream()


class CountingStream:
    def __init__(self):
        self.samples = 0

    def accept(self, block):
        self.samples += len(block)

    def finish(self):
        words = [Word(f"{n + 1}초", float(n), n + 1.0) for n in range(self.samples // 16000)]
        segments = (Segment.from_words(words),) if words else ()
        return Result(segments, self.samples / 16000, model="counting")


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setattr(transcribe, "_load", lambda name, device, jobs: CountingModel())


@pytest.fixture
def sounds(tmp_path):
    folder = tmp_path / "sounds"
    (folder / "deep").mkdir(parents=True)
    for name, seconds in [("b.wav", 2), ("a one.flac", 1), ("deep/c.ogg", 3)]:
        soundfile.write(folder / name, np.zeros(seconds * 16000), 16000)
    (folder / "notes.txt").write_text("not sound")
    (folder / ".hidden.wav").write_text("not sound")
    return folder


def test_one_file_prints_its_text(counting, sounds, capsys):
    assert main(["transcribe", str(sounds / "b.wav")]) == 0
    assert capsys.readouterr() == ("1초 2초\n", "")


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_folder_prints_kaldi_lines_in_order(counting, sounds, capsys, jobs):
    assert main(["transcribe", "--jobs", jobs, str(sounds)]) == 0
    assert capsys.readouterr() == ("a_one 1초\nb 1초 2초\nc 1초 2초 3초\n", "")


def test_standard_input(counting, sounds, capsys, monkeypatch):
    data = io.BytesIO((sounds / "b.wav").read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
    assert main(["transcribe", "-", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "<stdin>"
    assert main(["transcribe", "-", "-"]) == 2


def test_raw(counting, tmp_path, capsys):
    (tmp_path / "a.pcm").write_bytes(bytes(8000 * 2))
    assert main(["transcribe", "--raw", "8000:mulaw", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1초 2초\n"
    assert main(["transcribe", "--raw", "8000:mp3", str(tmp_path)]) == 2
    assert "unknown raw encoding 'mp3'" in capsys.readouterr().err


def test_output_folder_keeps_the_shape_of_the_input(counting, sounds, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["transcribe", str(sounds), "--output", str(out), "--format", "all"]) == 0
    assert capsys.readouterr().out == ""
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    formats = ("TextGrid", "ctm", "json", "srt", "tsv", "txt", "vtt")
    assert written == [f"{base}.{name}" for base in ("a one", "b", "deep/c") for name in formats]
    assert (out / "deep" / "c.txt").read_text(encoding="utf-8") == "1초 2초 3초\n"


def test_what_is_done_is_left_out_when_resumed(counting, sounds, tmp_path, capsys):
    out = tmp_path / "out"
    call = ["transcribe", str(sounds), "--output", str(out), "-f", "txt", "-f", "srt", "--resume"]
    assert main(call) == 0
    (out / "b.txt").write_text("mine", encoding="utf-8")
    (out / "deep" / "c.srt").unlink()  # one of its two is missing
    later = (out / "a one.txt").stat().st_mtime + 10
    os.utime(sounds / "a one.flac", (later, later))  # newer than its transcript
    (out / "a one.txt").write_text("old", encoding="utf-8")
    os.utime(out / "a one.txt", (later - 5, later - 5))
    capsys.readouterr()
    assert main(call) == 0
    assert (out / "b.txt").read_text(encoding="utf-8") == "mine"
    assert (out / "deep" / "c.srt").exists()
    assert (out / "a one.txt").read_text(encoding="utf-8") == "1초\n"
    for path in out.rglob("*.*"):
        os.utime(path, (later + 10, later + 10))
    assert main(call) == 0  # nothing is left to do
    assert main(["transcribe", str(sounds), "--resume"]) == 2
    assert "give both" in capsys.readouterr().err


def test_subtitle_options(counting, sounds, capsys):
    long = str(sounds / "deep" / "c.ogg")
    assert main(["transcribe", long, "-f", "vtt", "--word-times", "--line-length", "2"]) == 0
    out = capsys.readouterr().out
    assert "<00:00:01.000>2초" in out and "1초 " not in out
    assert main(["transcribe", long, "--word-times"]) == 2
    assert main(["transcribe", long, "--line-length", "9"]) == 2
    assert main(["transcribe", long, "-f", "srt", "--reading-speed", "0"]) == 2


def test_sounds_that_differ_by_suffix_alone_keep_it(counting, sounds, tmp_path):
    soundfile.write(sounds / "b.flac", np.zeros(16000), 16000)
    out = tmp_path / "out"
    assert main(["transcribe", str(sounds), "-o", str(out)]) == 0
    assert sorted(os.listdir(out)) == ["a one.txt", "b.flac.txt", "b.wav.txt", "deep"]


def test_clashing_outputs_and_formats_are_refused_before_work(counting, sounds, tmp_path, capsys):
    b, other = str(sounds / "b.wav"), tmp_path / "other" / "b.wav"
    other.parent.mkdir()
    soundfile.write(other, np.zeros(16000), 16000)
    for arguments in (
        [b, str(other), "-o", str(tmp_path / "out")],
        [b, "-f", "srt", "-f", "vtt"],
        [b, str(sounds / "a one.flac"), "-f", "srt"],
        [b, "-o", b],
    ):
        assert main(["transcribe", *arguments]) == 2
        assert capsys.readouterr().out == ""


def test_one_bad_file_does_not_stop_the_others(counting, sounds, tmp_path, capsys):
    (sounds / "aa.wav").write_text("text")
    out = tmp_path / "out"
    assert main(["transcribe", str(sounds), str(tmp_path / "none.wav"), "-o", str(out)]) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2 and all(line.startswith("asr: error: ") for line in error)
    assert "none.wav: no such file" in error[0] and "aa.wav is not a sound file" in error[1]
    assert sorted(os.listdir(out)) == ["a one.txt", "b.txt", "deep"]


def test_debug_shows_the_traceback_of_a_bad_file(counting, sounds, capsys):
    (sounds / "aa.wav").write_text("text")
    assert main(["transcribe", "--debug", str(sounds)]) == 1
    captured = capsys.readouterr()
    assert "Traceback" in captured.err and "AudioError" in captured.err
    assert len(captured.out.splitlines()) == 3


def test_folder_without_sound(counting, tmp_path, capsys):
    assert main(["transcribe", str(tmp_path)]) == 1
    assert "no sound file in this folder" in capsys.readouterr().err


def test_odd_file_names(counting, sounds, tmp_path):
    odd = os.path.join(os.fsencode(sounds), b"\xff \n.wav")
    os.rename(sounds / "b.wav", odd)
    out = tmp_path / "out"
    assert main(["transcribe", os.fsdecode(odd), "-o", str(out), "-f", "json"]) == 0
    (written,) = out.iterdir()
    assert "�" in json.loads(written.read_text(encoding="utf-8"))["source"]


@pytest.mark.parametrize("arguments", [[""], ["a.wav", "--raw", ""]])
def test_empty_names_are_wrong_usage(counting, arguments, capsys):
    assert main(["transcribe", *arguments]) == 2
    assert capsys.readouterr().err.startswith("asr: error: ")


def refuse(*args, **kwargs):
    raise PermissionError(13, "Permission denied")


def test_output_is_tried_before_the_model_is_loaded(sounds, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(transcribe, "_load", lambda *args: pytest.fail("loaded"))
    below_a_file = sounds / "b.wav" / "out"
    assert main(["transcribe", str(sounds), "-o", str(below_a_file)]) == 1
    line = f"asr: error: --output {below_a_file} cannot be written: Not a directory\n"
    assert capsys.readouterr() == ("", line)
    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)  # root may write in any folder
    assert main(["transcribe", str(sounds), "-o", str(tmp_path)]) == 1
    assert f"--output {tmp_path} cannot be written: Permission denied" in capsys.readouterr().err


def test_unreadable_folder(counting, sounds, capsys, monkeypatch):
    monkeypatch.setattr(os, "listdir", refuse)
    assert main(["transcribe", str(sounds), str(sounds / "b.wav")]) == 1
    assert capsys.readouterr() == (
        "1초 2초\n", f"asr: error: {sounds}: Permission denied\n")


def test_a_sound_named_twice_is_recognised_once(counting, sounds, capsys, caplog):
    b = str(sounds / "b.wav")
    assert main(["transcribe", b, b]) == 0
    assert capsys.readouterr().out == "1초 2초\n"
    assert "b.wav is given more than once" in caplog.text


def test_damaged_sound_is_recognised_up_to_the_damage(counting, tmp_path, capsys):
    noise = np.random.default_rng(0).normal(0, 0.1, 160_000)
    soundfile.write(tmp_path / "whole.flac", noise, 16000)
    content = (tmp_path / "whole.flac").read_bytes()
    cut = tmp_path / "cut.flac"
    cut.write_bytes(content[: len(content) // 2])
    assert main(["transcribe", str(cut)]) == 1
    out, error = capsys.readouterr()
    assert out == "1초 2초 3초 4초\n"
    assert "cut.flac is cut short or damaged after 4." in error and error.count("\n") == 1
    assert main(["transcribe", str(cut), "-o", str(tmp_path / "out")]) == 1
    assert (tmp_path / "out" / "cut.txt").read_text(encoding="utf-8") == out


SLOW = """
import sys, time
from asr.cli import transcribe
from asr.cli.main import main
from asr.result import Result

class Model:
    sample_rate = 16000
    def stream(self, **detail): return self
    def accept(self, block): print("heard", flush=True); time.sleep(0.2)
    def finish(self): return Result((), 1.0)

transcribe._load = lambda name, device, jobs: Model()
sys.exit(main(sys.argv[1:]))
"""


def test_interrupt_stops_in_the_middle_of_a_file(tmp_path):
    soundfile.write(tmp_path / "long.flac", np.zeros(16000 * 600), 16000)
    command = [sys.executable, "-c", SLOW, "transcribe", tmp_path / "long.flac"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": str(ROOT)},
                               # A test run in the background has SIGINT ignored; children inherit.
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert process.stdout.readline() == "heard\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and err == "asr: error: interrupted\n"
    assert out.count("heard") < 20  # of 120 blocks


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


# --- other commands ------------------------------------------------------------------------------


def test_score(tmp_path, capsys):
    (tmp_path / "ref").write_text("a 오늘 날씨가 좋다\nb 네\n", encoding="utf-8")
    (tmp_path / "hyp").write_text("b 네\na 오늘 날씨가 좋아\n", encoding="utf-8")
    assert main(["score", str(tmp_path / "ref"), str(tmp_path / "hyp"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cer"]["rate"] == pytest.approx(1 / 8)
    assert main(["score", str(tmp_path / "ref"), str(tmp_path / "hyp")]) == 0
    assert "12.50%" in capsys.readouterr().out
    assert main(["score", str(tmp_path / "ref"), str(tmp_path / "none")]) == 1


def test_info_of_sound_and_model(sounds, tmp_path, capsys):
    assert main(["info", str(sounds / "b.wav")]) == 0
    out = capsys.readouterr().out
    assert "sample_rate: 16000" in out and "duration: 2.0" in out
    manifest = Manifest("tiny", "ko", 16000, "CC0-1.0", sections={"phones": list(range(46))})
    write_bundle(tmp_path / "model", manifest, {"a.safetensors": {"x": np.zeros(3)}})
    assert main(["info", str(tmp_path / "model")]) == 0
    out = capsys.readouterr().out
    assert "licence: CC0-1.0" in out and "phones: (46 values)" in out and "a.safetensors" in out
    assert main(["info", "--json", str(tmp_path / "model")]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "tiny"
    assert main(["info", str(tmp_path / "none")]) == 1


def test_info_lists_known_models(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MALSORI_CACHE", str(tmp_path))
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "ko-kaldi" in out and str(tmp_path) in out


@pytest.mark.parametrize("option", ["--frame-length", "--frame-shift"])
def test_features_of_endless_frames_are_refused(sounds, tmp_path, capsys, option):
    arguments = ["features", str(sounds / "b.wav"), "--output", str(tmp_path / "x.npy")]
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
