"""The service on a free port, for tests: of the real model, or of one that does as it is told."""

from __future__ import annotations

import functools
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np

from asr import Model, load
from asr.result import Result, Segment, Word
from asr.search import Index
from asr.server.app import create_app
from asr.server.config import ServerConfig
from asr.server.run import Server, reserve


@functools.cache
def real_model(path: Path) -> Model:
    """The shipped model, loaded once."""
    return load(path)


class Running:
    """A service in a thread of its own."""

    def __init__(
        self, model: Any, config: ServerConfig, certificate: Path | None = None,
        key: Path | None = None, index: Index | None = None,
    ) -> None:  # fmt: skip
        address = reserve("127.0.0.1", 0)
        self.host, self.port = address.getsockname()
        self.server = Server(create_app(model, config, index=index), certificate, key)
        self.service = self.server.service
        self.thread = threading.Thread(target=self.server.run, args=([address],))
        self.thread.start()
        until(lambda: self.server.started)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def live(self) -> str:
        return f"ws://{self.host}:{self.port}"

    def get(self, path: str, **headers: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request) as response:
            content: bytes = response.read()
        return content

    def metric(self, line: str) -> float:
        """The value of a metric, by its name and labels."""
        for one in self.get("/metrics").decode().splitlines():
            if one.startswith(line + " "):
                return float(one.rpartition(" ")[2])
        return 0.0

    def post(self, sound: bytes, **fields: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Upload a sound: status, JSON and header of the answer."""
        headers = {name: fields.pop(name) for name in list(fields) if name[0].isupper()}
        body, content_type = form(sound, {"model": "any", **fields})
        connection = HTTPConnection(self.host, self.port, timeout=30)
        connection.request("POST", "/v1/audio/transcriptions", body,
                           {"Content-Type": content_type, **headers})
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer, {k.lower(): v for k, v in response.getheaders()}

    def socket(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=30)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()


@contextmanager
def running(model: Any, **limits: Any) -> Iterator[Running]:
    """A service for as long as the block runs."""
    service = Running(model, ServerConfig(**limits))
    try:
        yield service
    finally:
        service.stop()


def form(sound: bytes, fields: dict[str, str]) -> tuple[bytes, str]:
    """A multipart form, and its content type."""
    mark = "----malsori-test"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = (f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
            "Content-Type: audio/wav\r\n\r\n")
    body = b"".join([*parts, head.encode(), sound, f"\r\n--{mark}--\r\n".encode()])
    return body, f"multipart/form-data; boundary={mark}"


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


class ObedientModel:
    """A model that recognises '말' in each second of sound, when it may.

    Attributes:
        gate: while it is closed, no step gets through.
        entered: steps that have begun.
        partial: text of what is not final.
    """

    name, language, sample_rate = "obedient", "ko", 16_000
    partial = ""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = 0

    def stream(self, **options: Any) -> ObedientStream:
        return ObedientStream(self)

    def add_words(self, words: Any) -> ObedientModel:
        return self


class ObedientStream:
    def __init__(self, model: ObedientModel) -> None:
        self.model = model
        self.samples = 0
        self.segments: tuple[Segment, ...] = ()

    def accept(self, samples: np.ndarray) -> None:
        self.model.entered += 1
        assert self.model.gate.wait(20)
        self.samples += len(samples)
        for second in range(len(self.segments), self.samples // 16_000):
            word = Word("말", second + 0.25, second + 0.75, 0.5)
            self.segments += (Segment.from_words([word], 0.5),)

    def partial(self) -> Segment:
        now = self.samples / 16_000
        return Segment(self.model.partial, now, now)

    def finish(self) -> Result:
        return Result(self.segments, self.samples / 16_000, "ko", self.model.name)
