"""RESULTS.md of a recipe, made from what `asr score --json` told.

    python recipes/common/results.py OUT --title TEXT --command TEXT --rows SYSTEM=SET=FILE...

With --check the figures in OUT are compared, not replaced: exit code 1 where one has moved.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

from asr.atomic import replaced_file
from asr.score import NORMALISATION

HEADER = (
    "| system | set | CER | CER with spaces | eojeol WER | jamo | spacing F1 | edits / characters |"
)
ROW = re.compile(r"^\| (?P<system>[^|]+) \| (?P<set>[^|]+) \| (?P<cer>[0-9.]+)% \|", re.MULTILINE)


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description="Write RESULTS.md.", allow_abbrev=False)
    parser.add_argument("out", type=Path)
    parser.add_argument("--title", required=True)
    parser.add_argument("--command", required=True, help="that made these results")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--note", action="append", default=[], help="a sentence; may be repeated")
    parser.add_argument("--gains", nargs="+", default=[], metavar="SYSTEM,SYSTEM...",
                        help="systems of which each is told relative to the one before")
    parser.add_argument("--rows", nargs="+", required=True, metavar="SYSTEM=SET=FILE")
    parser.add_argument("--check", action="store_true", help="compare with OUT instead")
    parser.add_argument("--tolerance", type=float, default=2.0,
                        help="CER may move by so many points of a per cent (default: 2)")
    args = parser.parse_args()
    rows = [(system, name, scores(path)) for system, name, path in map(parts, args.rows)]
    if args.check:
        return check(args.out, rows, args.tolerance)
    with replaced_file(args.out) as file:
        file.write(page(args, rows))
    print(args.out)
    return 0


def parts(row: str) -> tuple[str, str, Path]:
    """System, set and file of a row."""
    found = row.split("=", 2)
    if len(found) != 3:
        sys.exit(f"results.py: a row is SYSTEM=SET=FILE, not {row}")
    return found[0], found[1], Path(found[2])


def scores(path: Path) -> dict:
    """What `asr score --json` wrote."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"results.py: {path} cannot be read ({error}): score first")


def page(args: argparse.Namespace, rows: list[tuple[str, str, dict]]) -> str:
    """The file's text."""
    about = [
        f"Made by `{args.command}`, at commit {commit()}, on {processor()}, device {args.device}.",
        "CER: edits a character of the reference in per cent, spaces removed, spoken form"
        " (numbers and Latin letters of the references are read out in Hangul). Normalisation:"
        f" {NORMALISATION}.",
        *args.note,
    ]
    lines = [f"# {args.title}", "", *"\n\n".join(about).split("\n"), ""]
    lines += [HEADER, "|" + "---|" * HEADER.count(" | ") + "---|", *map(line, rows)]
    sets = list(dict.fromkeys(row[1] for row in rows))
    chains = [chain.split(",") for chain in args.gains]
    gains = [told for chain in chains for name in sets if (told := gain(name, rows, chain))]
    if gains:
        lines += ["", "From each system to the next, CER relative to the one before:", "", *gains]
    return "\n".join(lines) + "\n"


def line(row: tuple[str, str, dict]) -> str:
    """A row of the table."""
    system, name, found = row
    rates = [found[part]["rate"] for part in ("cer", "cer_with_spaces", "wer", "jamo_error_rate")]
    figures = " | ".join(f"{100 * rate:.2f}%" for rate in rates)
    counts = f"{found['cer']['edits']} / {found['cer']['tokens']}"
    return f"| {system} | {name} | {figures} | {spacing_f1(found['spacing']):.3f} | {counts} |"


def spacing_f1(counts: dict) -> float:
    """As asr.score.SpacingCounts counts it."""
    return float(counts["f1"])


def gain(name: str, rows: list[tuple[str, str, dict]], chain: list[str]) -> str:
    """How CER falls from system to system of a chain on one set."""
    rates = {system: found["cer"]["rate"] for system, of, found in rows if of == name}
    systems = [system for system in chain if system in rates]
    if len(systems) < 2:
        return ""
    told = [systems[0]]
    for before, after in itertools.pairwise(systems):
        change = f" {100 * (rates[after] / rates[before] - 1):+.0f}%" if rates[before] else ""
        told.append(after + change)
    return f"- {name}: " + " → ".join(told)


def check(path: Path, rows: list[tuple[str, str, dict]], tolerance: float) -> int:
    """Compare figures with those in a file."""
    if not path.is_file():
        sys.exit(f"results.py: {path} is missing: run the last stage without --check")
    known = {
        (found["system"], found["set"]): float(found["cer"])
        for found in ROW.finditer(path.read_text(encoding="utf-8"))
    }
    drift = [f"{system}, {name}: no longer measured" for system, name in
             known.keys() - {row[:2] for row in rows}]
    for system, name, found in rows:
        now, before = 100 * found["cer"]["rate"], known.get((system, name))
        if before is None:
            drift.append(f"{system}, {name}: CER {now:.2f}% is not in the file")
        elif abs(now - before) > tolerance:
            drift.append(f"{system}, {name}: CER was {before:.2f}%, is {now:.2f}%")
    for told in drift:
        print(f"results.py: {path}: {told}", file=sys.stderr)
    if not drift:
        print(f"{path}: {len(rows)} figures as they were, within {tolerance:g} points")
    return 1 if drift else 0


def commit() -> str:
    """Of the source tree, and whether it was changed."""
    def git(*words: str) -> str:
        run = subprocess.run(["git", *words], capture_output=True, text=True)
        return run.stdout.strip() if run.returncode == 0 else ""

    changed = " (and changes)" if git("status", "--porcelain", "--untracked-files=no") else ""
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + changed


def processor() -> str:
    """The name of the CPU."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
