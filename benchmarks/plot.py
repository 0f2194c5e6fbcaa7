"""Results as a picture: each contestant's time over gradc's, on a logarithmic axis.

The background is transparent, and all colours are of middle lightness, so that the picture is read on white and on
black.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.race import Race
from benchmarks.report import OURS, digits, duration

INK, RULE = "#7a808a", "#7a808a55"
STYLES = {
    "gradc": ("#d6336c", "D"),
    "gradc, 1 thread": ("#d6336c", "d"),
    "Numba by hand": ("#9a66d1", "o"),
    "by hand": ("#7a808a", "X"),
    "JAX": ("#3b82d6", "s"),
    "PyTorch": ("#d9730d", "^"),
    "PyTorch, compiled": ("#d9730d", "v"),
    "CasADi": ("#2e9e5b", "P"),
}
"""Colour and marker of each kind of contestant: the longest of these names that is in the contestant's."""
LANE = 0.085
"""Each kind keeps to a height of its own within the rows, this far from the next: equal times stay apart."""


def draw(races: Sequence[Race], path: Path) -> bool:
    """Writes an SVG file; False if Matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    from matplotlib.figure import Figure

    settings = {"svg.hashsalt": "gradc", "font.size": 9, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK}
    with mpl.rc_context({**settings, "ytick.color": INK}):
        figure = Figure(figsize=(9, 1.6 + 0.55 * len(races)), layout="constrained")
        _rows(figure.subplots(), [race for race in races if _time(race)])
        figure.savefig(path, transparent=True, metadata={"Date": None})
    return True


def _time(race: Race) -> float | None:
    ours = race.entry(OURS)
    return ours.median if ours else None


def _rows(axes: Any, races: Sequence[Race]) -> None:
    drawn: dict[str, Any] = {}
    for y, race in enumerate(races):
        mine = _time(race) or 1.0
        ratios = [(kind(e.name), e.median / mine) for e in race.entries if e.median is not None]
        axes.axhline(y + 0.5, color=RULE, linewidth=0.6, zorder=0)
        for name, x in sorted(ratios, key=lambda each: list(STYLES).index(each[0]), reverse=True):
            colour, marker = STYLES[name]
            lane = y + LANE * (list(STYLES).index(name) - len(STYLES) / 2)
            drawn[name] = axes.scatter(x, lane, s=40, c=colour, marker=marker, alpha=0.9, linewidths=0, zorder=3)
        bound = max(race.bounds.values(), default=None)
        if bound:
            drawn["bound"] = axes.plot([bound / mine] * 2, [y - 0.36, y + 0.36], color=INK, linewidth=2.0)[0]
    axes.axvline(1, color=STYLES[OURS][0], linewidth=0.8, zorder=1)
    axes.set_xscale("log")
    axes.set_xlabel("time / gradc's time        (to the right: slower than gradc)")
    axes.xaxis.set_major_formatter(lambda x, _: digits(x))
    axes.set_yticks(range(len(races)), [f"{race.title}\ngradc {duration(_time(race))}" for race in races])
    axes.set_ylim(len(races) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.tick_params(axis="x", which="both", bottom=True, length=3)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    order = [name for name in [*STYLES, "bound"] if name in drawn]
    labels = ["NumPy or Python by hand" if name == "by hand" else name for name in order]
    axes.figure.legend([drawn[name] for name in order], labels, ncols=5, loc="outside upper center", frameon=False)


def kind(name: str) -> str:
    return max((each for each in STYLES if each in name), key=len)
