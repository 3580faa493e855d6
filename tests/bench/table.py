"""Figures as a table: what, measured, peer, ratio, what to reach, and what limits it."""

from collections.abc import Iterable, Sequence


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
