"""Figures as a table: what, measured, peer, ratio, what to reach, and what limits it; and reading a stream's lines."""

import json
from collections.abc import Iterable, Sequence
from typing import Any


def show(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under a head, columns aligned."""
    cells = [list(head), *[[_text(value) for value in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for number, row in enumerate(cells):
        print("   " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            print("   " + "  ".join("-" * width for width in widths))


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def event(line: str) -> dict[str, Any]:
    """What a line of an OpenAI stream carries; empty for comments and its end."""
    told: dict[str, Any] = json.loads(line[6:]) if line.startswith("data: {") else {}
    return told
