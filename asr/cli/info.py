"""`asr info`: what a model or a sound file holds."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr.cli.models import model_path
from asr.errors import AsrError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "info",
        help="what a model or a sound file holds",
        description="Describe models (by name or folder) and sound files. Without arguments: the"
        " models that can be asked for by name, and where they are kept.",
    )
    parser.add_argument("targets", nargs="*", metavar="MODEL|FILE")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Describe each target in turn."""
    descriptions = [describe_target(target) for target in args.targets] or [describe_known()]
    for number, description in enumerate(descriptions):
        if args.json:
            print(json.dumps(description, ensure_ascii=False))
        else:
            print("\n" * (number > 0) + "\n".join(_lines(description)))
    return 0


MOST_ENTRIES = 30
"""Longer tables are not spelled out."""


def describe_known() -> dict[str, Any]:
    """The models that have names."""
    from asr.models import ALIASES, KNOWN, cache_dir

    known = {name: model.description for name, model in KNOWN.items()}
    aliases = {alias: f"same as {name}" for alias, name in ALIASES.items()}
    return {"models": aliases | known, "cache": str(cache_dir())}


def describe_target(target: str) -> dict[str, Any]:
    """A model if it is the name of one or a folder, else a sound file."""
    from asr.models import ALIASES, KNOWN

    if target in ALIASES or target in KNOWN or Path(target).is_dir():
        return _describe_model(target)
    if not Path(target).exists():
        names = ", ".join([*ALIASES, *KNOWN])
        raise AsrError(f"{target}: no such file, and no model of that name: those are {names}")
    from asr.audio import audio_info

    return asdict(audio_info(target))


def _describe_model(target: str) -> dict[str, Any]:
    from asr.bundle import open_bundle

    path = model_path(target)
    bundle = open_bundle(path)
    manifest = asdict(bundle.manifest)
    sections = manifest.pop("sections")
    files = {name: f"{entry.bytes / 2**20:.1f} MiB" for name, entry in bundle.files.items()}
    return {"path": str(path), **manifest, "files": files, "sections": sections}


def _lines(value: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and len(item) <= MOST_ENTRIES:
            lines += [f"{indent}{key}:", *_lines(item, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {_short(item)}")
    return lines


def _short(item: Any) -> str:
    """A value on one line; long lists and tables (units, components) only as their length."""
    if item is None:
        return "unknown"
    if (isinstance(item, list) and len(item) > 12) or isinstance(item, dict):
        return f"({len(item)} values)"
    text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
    return " ".join(text.split())  # whole: an attribution that is cut off is none
