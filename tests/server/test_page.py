"""The page in a real Chromium without a screen, its microphone fed from a sample.

Needs Chromium (Debian's package ``chromium``, or Playwright's own); without one it is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from scipy import signal
from serving import ObedientModel, Running, real_model, running
from websockets.sync.client import connect

from asr import Model
from asr.data_files import shipped
from asr.writers import get_writer

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

SAMPLE = "synthetic-espeak-1.flac"
playwright.expect.set_options(timeout=30_000)
GREETING = "안녕하세요"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip


@pytest.fixture(scope="module")
def model(korean_model: Path) -> Model:
    return real_model(korean_model)


@pytest.fixture(scope="module")
def service(model: Model) -> Iterator[Running]:
    with running(model) as service:
        yield service


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample after a pause, as the fake microphone reads it: WAV at a sound card's rate."""
    samples, rate = soundfile.read(shipped("samples") / SAMPLE, dtype="float32")
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    padded = np.concatenate([np.zeros(rate, np.float32), samples])
    soundfile.write(path, soxr.resample(padded, rate, 48_000), 48_000, subtype="PCM_16")
    return path


def chromium_path() -> str | None:
    """Of the browser; None for Playwright's own."""
    return os.environ.get("MALSORI_CHROMIUM") or shutil.which("chromium")


@pytest.fixture(scope="module")
def browser(spoken: Path) -> Iterator[Any]:
    with playwright.sync_playwright() as tools:
        try:
            browser = tools.chromium.launch(
                executable_path=chromium_path(),
                args=[*FLAGS, f"--use-file-for-fake-audio-capture={spoken}%noloop"],
            )
        except playwright.Error as error:
            pytest.skip(f"no Chromium that starts: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, service: Running) -> Iterator[Any]:
    yield from opened(browser, service)


def opened(browser: Any, service: Running, language: str = "ko-KR") -> Iterator[Any]:
    """The page of a service; whatever it complains of fails the test."""
    context = browser.new_context(locale=language, permissions=["microphone"])
    context.set_default_timeout(30_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(service.url)
    yield page
    context.close()
    assert complaints == []
    assert hosts - {""} == {f"127.0.0.1:{service.port}"}  # nothing from elsewhere; blob: has none


def downloaded(page: Any, form: str) -> str:
    with page.expect_download() as download:
        page.click(f"[data-format={form}]")
    return Path(download.value.path()).read_text(encoding="utf-8")


def messages_of(page: Any) -> list[Any]:
    """What the page's WebSockets send, as it is sent; to be asked for before they do."""
    sent: list[Any] = []

    def listen(socket: Any) -> None:
        # Playwright marks what it calls, which a built-in method does not bear
        socket.on("framesent", lambda message: sent.append(message))

    page.on("websocket", listen)
    return sent


def words_heard(service: Running, messages: list[Any]) -> list[str]:
    """What another client is told that sends the same messages, the last of which is eof."""
    words: list[str] = []
    with connect(service.live) as client:
        client.send(messages[0])
        for message in messages[1:]:
            client.send(message)
            answer = json.loads(client.recv(20))
            words += [word["word"] for word in answer.get("result", [])]
    return words


def likeness(pcm: bytes, rate: int, path: Path) -> float:
    """How far the best quarter of a second of sent sound is some part of a file: at most 1.

    The best one alone, because a busy machine drops pieces of a fake microphone's sound.
    """
    sent = soxr.resample(np.frombuffer(pcm, "<i2") / 32768.0, rate, 16_000)
    source, source_rate = soundfile.read(path)
    source = soxr.resample(source, source_rate, 16_000)
    length = 4_000
    energy = np.convolve(source**2, np.ones(length), "valid")
    best = 0.0
    for begin in range(0, len(sent) - length, length):
        part = sent[begin : begin + length]
        if np.sqrt(np.mean(part**2)) > 0.01:
            found = signal.correlate(source, part, "valid", "fft")
            best = max(best, float((found / np.sqrt((part @ part) * energy + 1e-9)).max()))
    return best


def test_the_microphone_is_recognised(page: Any, service: Running, spoken: Path) -> None:
    sent = messages_of(page)
    page.click("#microphone")
    playwright.expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "true")
    playwright.expect(page.locator("#status")).to_have_text("듣고 있습니다…")
    playwright.expect(page.locator("#partial")).not_to_be_empty()  # before it is final
    playwright.expect(page.locator(".word").first).to_be_visible()  # before it is stopped
    page.wait_for_timeout(1000)
    page.click("#microphone")
    playwright.expect(page.locator("#status")).to_have_text("끝났습니다.")
    config, *pieces, _ = sent
    rate = json.loads(config)["config"]["sample_rate"]
    assert likeness(b"".join(pieces), rate, spoken) > 0.9
    words = page.locator(".word")
    assert words.all_inner_texts() == words_heard(service, sent)
    starts = [float(one) for one in words.evaluate_all("all => all.map(w => w.dataset.start)")]
    assert starts == sorted(starts) and starts[-1] < sum(map(len, pieces)) / 2 / rate
    srt = downloaded(page, "srt")
    assert srt.startswith("1\n00:00:0") and " --> " in srt
    assert all(word in "".join(srt.split()) for word in words.all_inner_texts())
    assert page.locator("#player").is_visible()
    assert int(page.locator("#waveform").get_attribute("width") or 0) > 100


def test_a_file_is_recognised(page: Any, model: Model) -> None:
    path = shipped("samples") / SAMPLE
    page.set_input_files("#file", path)
    playwright.expect(page.locator("#status")).to_have_text("끝났습니다.")
    expected = model.transcribe(path)
    assert page.locator(".word").all_inner_texts() == [word.text for word in expected.words]
    assert downloaded(page, "srt") == get_writer("srt").dumps(expected)
    assert downloaded(page, "txt") == get_writer("txt").dumps(expected)
    page.locator(".word").nth(1).click()  # plays from there
    page.wait_for_function(
        f"document.querySelector('#player').currentTime >= {expected.words[1].start - 0.01}"
    )


def test_a_file_may_be_dropped(page: Any) -> None:
    data = (shipped("samples") / SAMPLE).read_bytes()
    page.evaluate(
        """async (bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.flac"));
            document.querySelector("#drop").dispatchEvent(
                new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
        }""",
        list(data),
    )
    playwright.expect(page.locator("#transcript")).to_contain_text(GREETING)


def test_both_languages_and_the_keyboard(browser: Any, service: Running) -> None:
    pages = opened(browser, service, "en-US")
    page = next(pages)
    playwright.expect(page.locator("#microphone")).to_have_text("Speak into the microphone")
    assert page.locator("html").get_attribute("lang") == "en"
    page.set_input_files("#file", shipped("samples") / SAMPLE)
    playwright.expect(page.locator("#status")).to_have_text("Done.")
    page.locator(".word").first.focus()
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("document.activeElement.dataset.start")
    assert focused == page.locator(".word").nth(1).get_attribute("data-start")
    page.click("#language")
    playwright.expect(page.locator("#microphone")).to_have_text("마이크로 말하기")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, canvas, audio")].filter((one) =>
            !one.hidden && !one.innerText && !one.labels?.length
            && !one.getAttribute("aria-label")).map((one) => one.outerHTML)"""
    )
    assert unnamed == []
    for _ in pages:
        pass


def test_a_wrong_file_and_a_missing_key_are_told(browser: Any) -> None:
    with running(ObedientModel(), api_keys=("correct-key",)) as service:
        context = browser.new_context(locale="ko-KR")
        page = context.new_page()
        page.goto(service.url)
        noise = {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"no sound"}
        page.set_input_files("#file", noise)
        playwright.expect(page.locator("#status.error")).to_contain_text("API key")
        page.fill("#key", "correct-key")
        page.set_input_files("#file", [])
        page.set_input_files("#file", noise)
        playwright.expect(page.locator("#status.error")).to_contain_text("a.wav")
        page.click("#microphone")
        playwright.expect(page.locator(".word").first).to_have_text("말")
        page.click("#microphone")
        playwright.expect(page.locator("#status")).to_have_text("끝났습니다.")
        page.fill("#key", "wrong-key-1")
        page.click("#microphone")
        playwright.expect(page.locator("#status.error")).to_contain_text("서버가")
        context.close()
