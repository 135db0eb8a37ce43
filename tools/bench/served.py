"""A server under test in a process of its own, bound to some processors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VOSK = "vosk"


class Served:
    """A running server; ends with the ``with`` block.

    Args:
        arguments: of ``asr serve``; or just `VOSK`.
        processors: that it may use.

    Attributes:
        url: where it listens.
        errors: what it wrote to standard error so far.
    """

    def __init__(self, arguments: Sequence[str], processors: Sequence[int]) -> None:
        if list(arguments) == [VOSK]:
            command = [sys.executable, str(HERE / "vosk_server.py")]
        else:
            command = [sys.executable, "-m", "asr", "serve", "--port", "0", *arguments]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        os.sched_setaffinity(self._process.pid, processors)
        self.errors: list[str] = []
        assert self._process.stdout is not None and self._process.stderr is not None
        threading.Thread(target=self._read, daemon=True).start()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the server did not start: {''.join(self.errors)}")
        self.url = line.split()[-1]
        self.live = self.url.replace("http", "ws", 1)
        self.port = int(self.url.rpartition(":")[2])

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.errors.append(line)

    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 60.0) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(seconds)

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def __enter__(self) -> Served:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.alive():
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
