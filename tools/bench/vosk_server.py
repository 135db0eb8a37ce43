"""Vosk's recogniser behind vosk-server's protocol: the peer of tools/bench/serve.py.

One thread for each processor recognises, as in vosk-server; each message has one answer. Prints
its address when it listens.
"""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vosk_worker import SAMPLE_RATE, model_folder


def answer(recognizer: Any, message: str | bytes) -> tuple[str, bool]:
    """What Vosk says to a message, and whether it was the last."""
    if isinstance(message, str):
        return recognizer.FinalResult(), "eof" in json.loads(message)
    done = recognizer.AcceptWaveform(message)
    return (recognizer.Result() if done else recognizer.PartialResult()), False


async def main() -> None:
    import vosk
    from websockets.asyncio.server import ServerConnection, serve

    vosk.SetLogLevel(-1)
    model = vosk.Model(str(model_folder()))
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))

    async def stream(client: ServerConnection) -> None:
        recognizer = vosk.KaldiRecognizer(model, SAMPLE_RATE)
        recognizer.SetWords(True)
        async for message in client:
            if isinstance(message, str) and "config" in json.loads(message):
                continue
            text, last = await loop.run_in_executor(pool, answer, recognizer, message)
            await client.send(text)
            if last:
                return

    async with serve(stream, "127.0.0.1", 0, ping_timeout=None) as server:
        host, port = server.sockets[0].getsockname()[:2]
        print(f"Vosk at http://{host}:{port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
