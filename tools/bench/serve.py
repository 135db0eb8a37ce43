#!/usr/bin/env python3
"""How many live streams the service keeps up with, how late its answers are, what it withstands.

    python tools/bench/serve.py --streams 1 10 20 30              # asr serve
    python tools/bench/serve.py --streams 1 10 20 30 --peer vosk  # Vosk in the same harness
    python tools/bench/serve.py --streams 10 20 --batches 1 4     # two of them side by side
    python tools/bench/serve.py --faults
    python tools/bench/serve.py --faults --minutes 10             # again and again, for leaks

Each stream is a WebSocket client that sends sound as a microphone does, 0.2 s every 0.2 s whether
or not it is answered, in vosk-server's protocol. *Partial latency*: from sending a piece to its
answer. *Final latency*: from sending ``eof`` after the last piece to the last answer. A stream is
*in real time* if its answers were never later than --late seconds. The server runs on the
processors that --cpus names; the clients, in this process, take processor time too, which is told.
Everything is on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import connect

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import serve_faults  # noqa: E402
from served import VOSK, Served  # noqa: E402

from asr.audio import load_audio  # noqa: E402
from asr.data_files import shipped  # noqa: E402

RATE = 16_000
PIECE_SECONDS = 0.2
PAUSE_SECONDS = 0.8
"""Between two recordings, as between two sentences."""
FIRST_SECONDS = 2.0
"""Streams begin spread over this time, as callers do."""


@dataclass(slots=True)
class Heard:
    """What one stream has measured, in seconds."""

    partial: list[float] = field(default_factory=list)
    final: float = float("nan")
    characters: int = 0
    failure: str = ""


def sound(paths: Sequence[Path], seconds: float, first: int) -> NDArray[np.int16]:
    """So much 16-bit sound of the recordings one after another, beginning with one of them."""
    pause = np.zeros(round(PAUSE_SECONDS * RATE), np.float32)
    pieces: list[NDArray[np.float32]] = []
    while sum(map(len, pieces)) < seconds * RATE:
        pieces += [load_audio(paths[(first + len(pieces) // 2) % len(paths)], RATE).samples, pause]
    samples = np.concatenate(pieces)[: round(seconds * RATE)]
    return np.asarray(np.clip(samples, -1, 1) * 32767, np.int16)


async def stream(live: str, samples: NDArray[np.int16], delay: float) -> Heard:
    """One client; whatever goes wrong is told in its measures."""
    heard = Heard()
    await asyncio.sleep(delay)
    try:
        async with connect(live, compression=None, open_timeout=30, ping_timeout=None) as client:
            await client.send(json.dumps({"config": {"sample_rate": RATE}}))
            sent: list[float] = []
            step = round(PIECE_SECONDS * RATE)
            pieces = [samples[begin : begin + step] for begin in range(0, len(samples), step)]

            async def speak() -> None:
                begin = time.perf_counter()
                for number, piece in enumerate(pieces, 1):
                    await asyncio.sleep(begin + number * PIECE_SECONDS - time.perf_counter())
                    sent.append(time.perf_counter())
                    await client.send(piece.tobytes())

            speaking = asyncio.ensure_future(speak())
            for number in range(len(pieces)):
                answer = json.loads(await client.recv())
                heard.partial.append(time.perf_counter() - sent[number])
                heard.characters += len(answer.get("text", ""))
            await speaking
            ended = time.perf_counter()
            await client.send('{"eof" : 1}')
            heard.characters += len(json.loads(await client.recv()).get("text", ""))
            heard.final = time.perf_counter() - ended
    except Exception as error:  # a stream that fails is a result
        heard.failure = f"{type(error).__name__}: {error}"
    return heard


async def load(live: str, sounds: Sequence[NDArray[np.int16]]) -> list[Heard]:
    """All streams at once."""
    delays = np.linspace(0.0, FIRST_SECONDS, len(sounds), endpoint=False)
    return await asyncio.gather(*map(stream, [live] * len(sounds), sounds, delays))


def row(served: Served, count: int, args: argparse.Namespace) -> str:
    """Measure so many streams; a line of the table."""
    sounds = [sound(args.sound, args.seconds, first) for first in range(count)]
    cpu, own = served.cpu_seconds(), time.process_time()
    heard = asyncio.run(load(served.live, sounds))
    cpu, own = served.cpu_seconds() - cpu, time.process_time() - own
    for failure in {one.failure for one in heard if one.failure}:
        print(f"a stream failed: {failure}", file=sys.stderr)
    partial = np.array([late for one in heard for late in one.partial] or [np.nan])
    final = np.array([one.final for one in heard])
    kept = sum(not one.failure and max(*one.partial, one.final) <= args.late for one in heard)
    total = count * args.seconds
    values = [
        f"{count}", f"{kept}", *(f"{np.nanpercentile(partial, q) * 1000:.0f}" for q in (50, 95)),
        *(f"{np.nanpercentile(final, q) * 1000:.0f}" for q in (50, 95)),
        f"{cpu / total:.3f}", f"{own / total:.3f}", f"{served.resident_mb():.0f}",
        f"{sum(one.characters for one in heard)}",
    ]  # fmt: skip
    return "| " + " | ".join(values) + " |"


HEAD = (
    "| batch | streams | in real time | partial p50 ms | p95 | final p50 ms | p95 |"
    " server CPU s / s | client CPU s / s | server RSS MB | characters |\n|" + "---|" * 11
)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 5, 10, 20])
    parser.add_argument("--seconds", type=float, default=30.0, help="of sound in each stream")
    parser.add_argument("--sound", type=Path, nargs="+", help="recordings (default: the samples)")
    parser.add_argument("--late", type=float, default=1.0, help="seconds; see above")
    parser.add_argument("--cpus", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--peer", choices=[VOSK], help="measure this instead of asr serve")
    parser.add_argument("--faults", action="store_true", help="misbehave, and see what it does")
    parser.add_argument("--minutes", type=float, default=0.0,
                        help="with --faults: misbehave for so long, watching the memory")
    parser.add_argument("--batches", type=int, nargs="+", default=[],
                        help="asr serve with each --batch in turn, for each number of streams")
    parser.add_argument("arguments", nargs="*", help="of asr serve, after --")
    args = parser.parse_args()
    if args.peer and args.batches:
        parser.error("--batches is of asr serve: leave --peer out")
    args.sound = args.sound or sorted(shipped("samples").glob("*.flac"))
    return args


def main() -> int:
    args = parse()
    many = str(max(100, *args.streams))
    arguments = [
        "--jobs", str(len(args.cpus)), "--max-streams", many, "--client-streams", many,
        "--client-rate", "100000", *args.arguments,
    ]  # fmt: skip
    if args.faults:
        with Served([*arguments, *serve_faults.ARGUMENTS], args.cpus) as served:
            return serve_faults.run(served, args.sound[0], args.minutes)
    commands = [[*arguments, "--batch", str(batch)] for batch in args.batches] or [arguments]
    with contextlib.ExitStack() as stack:  # the servers that do not serve just now cost nothing
        peers = [
            stack.enter_context(Served(command, args.cpus))
            for command in ([[VOSK]] if args.peer else commands)
        ]
        name = args.peer or "asr serve " + " ".join(arguments)
        print(f"{name}; processors {args.cpus}; load {os.getloadavg()[0]:.1f} before\n\n{HEAD}")
        with contextlib.suppress(KeyboardInterrupt):
            for served in peers:  # a first one warms up
                asyncio.run(load(served.live, [sound(args.sound, 2.0, 0)]))
            for count in args.streams:
                for batch, served in zip(args.batches or [1], peers, strict=True):
                    print(f"| {batch} {row(served, count, args)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
