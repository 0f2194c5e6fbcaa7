"""The gradient check: a claimed gradient against central differences of the value, extrapolated to step zero.

Of each entry x the differences D(h) = (f(x + h) - f(x - h))/2h are taken at steps that halve, from an eighth of
max(|x|, 1) on. Their error is a series in h², so Richardson's extrapolation (Neville's tableau, as Ridders has it)
cancels term after term; the answer is the element of the tableau whose own error estimate, the distance to its
neighbours plus the rounding error of the value divided by h, is smallest. Where kinks or jumps lie within the step, the
estimates disagree until the step has become smaller than the distance to the nearest one. Two may agree by accident, as
when one of two equal jumps is left behind: an entry is wrong only if no smaller steps settle on it.

Relative errors are measured against the largest of
  - the entry, claimed or expected;
  - a hundredth of the root mean square of its field's gradient: an entry that is small because large terms cancel in
    it carries the rounding error of those terms;
  - the rounding error of the differences divided by the tolerance: what they cannot resolve cannot fail.

Where the two agree on nothing, the entry may be at a kink. It is one if the slopes to the left and to the right stay
apart as the step shrinks; then any slope between the two is right, and the row says "kink".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Array = npt.NDArray[Any]
Values = Mapping[str, Any]

EVERY_ENTRY = 200
"""Fields with more entries are checked in SAMPLED entries and DIRECTIONS random directions through all of them."""
SAMPLED, DIRECTIONS = 50, 10
HALVINGS = 36
SHOWN = 8


class Row(Struct, frozen=True):
    """One comparison: an entry of a field or, where `position` is None, a random direction through all of it."""

    field: str
    position: tuple[int, ...] | None
    expected: float
    given: float
    error: float
    note: str = ""

    @property
    def name(self) -> str:
        """How the entry would be written: `W[3, 7]`."""
        if self.position is None:
            return f"{self.field} along a random direction"
        return f"{self.field}[{', '.join(map(str, self.position))}]" if self.position else self.field


class Report(Struct, frozen=True):
    """What was compared. `failure` says why nothing could be; `str()` is a table with the worst rows first."""

    rows: tuple[Row, ...]
    rtol: float
    failure: str | None = None
    method: str = "central differences"

    @property
    def ok(self) -> bool:
        return self.failure is None and all(row.error <= self.rtol for row in self.rows)

    @property
    def worst(self) -> Row | None:
        return max(self.rows, key=lambda row: row.error, default=None)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        if self.failure is not None:
            return f"gradient check failed: {self.failure}"
        wrong = sorted((r for r in self.rows if not r.error <= self.rtol), key=lambda r: -r.error)
        fields = ", ".join(dict.fromkeys(r.field for r in self.rows)) or "nothing"
        count = f"{len(self.rows)} comparison{'s' if len(self.rows) != 1 else ''} of {fields} with {self.method}"
        if not wrong:
            worst = f"; largest relative error {self.worst.error:.1e} at {self.worst.name}" if self.worst else ""
            kinks = sum(r.note == "kink" for r in self.rows)
            return f"gradient check passed: {count}{worst}" + (f"; {kinks} at a kink" if kinks else "")
        head = f"gradient check failed: {wrong[0].name} is wrong; {len(wrong)} of {count} differ by over {self.rtol:g}"
        table = [("entry", "gradient", "differences", "relative error")]
        table += [
            (r.name, f"{r.given:.12g}", f"{r.expected:.12g}", f"{r.error:.1e} {r.note}".rstrip()) for r in wrong[:SHOWN]
        ]
        widths = [max(len(line[k]) for line in table) for k in range(3)]
        lines = [f"  {a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in table]
        more = [f"  and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        return "\n".join([head, *lines, *more])


def check_gradient(
    value: Callable[[dict[str, Any]], float],
    gradient: Values,
    inputs: Values,
    wrt: Sequence[str],
    seed: int = 0,
    rtol: float = 1e-6,
    epsilon: float = float(np.finfo(np.float64).eps),
    method: str = "central differences",
) -> Report:
    """Compares a gradient at `inputs` with differences of `value`, as the module's text tells; `method` tells readers.

    `epsilon` is the relative rounding error of a value: that of float32, if it is computed in float32 (with a `rtol` to
    match). A value or a gradient that is not finite, and a gradient of the wrong shape, are failed checks.
    """
    at = value(dict(inputs))
    if not math.isfinite(at):
        return Report((), rtol, f"the value is {at:g} at this point: there is nothing to compare")
    rows: list[Row] = []
    for field, name in enumerate(wrt):
        point, claimed = np.asarray(inputs[name], np.float64), np.asarray(gradient[name], np.float64)
        if point.shape != claimed.shape:
            return Report((), rtol, f"the gradient of {name} has shape {claimed.shape}, expected {point.shape}")
        if not np.isfinite(claimed).all():
            k = tuple(int(i) for i in np.argwhere(~np.isfinite(claimed))[0])
            return Report(
                (), rtol, f"the gradient is {claimed[k]:g} at {Row(name, k, 0, 0, 0).name}: there is nothing to compare"
            )
        random = np.random.default_rng([seed, field])
        tolerance = rtol * _scale(claimed.ravel().tolist())
        found = []
        for position, direction in _directions(point, random):
            along = _Line(value, inputs, name, point, direction, epsilon)
            given = float(np.vdot(claimed, direction))
            found.append((position, given, along, along.slope(given, rtol, tolerance)))
        scale = _scale([slope for position, _, _, (slope, _) in found if position is not None])
        rows += [
            _row(name, position, given, along, slope, noise, scale, rtol)
            for position, given, along, (slope, noise) in found
        ]
    return Report(tuple(rows), rtol, method=method)


def _directions(point: Array, random: np.random.Generator) -> Iterator[tuple[tuple[int, ...] | None, Array]]:
    """The entries to check, then directions: each with the vector to move along."""
    every = point.size <= EVERY_ENTRY
    chosen = range(point.size) if every else np.sort(random.choice(point.size, SAMPLED, replace=False))
    for k in chosen:
        unit = np.zeros(point.shape)
        unit.flat[k] = 1.0
        yield tuple(int(i) for i in np.unravel_index(k, point.shape)), unit
    for _ in range(0 if every else DIRECTIONS):
        yield None, random.choice([-1.0, 1.0], point.shape)


class _Line:
    """The value along a direction through the point."""

    def __init__(
        self,
        value: Callable[[dict[str, Any]], float],
        inputs: Values,
        name: str,
        point: Array,
        direction: Array,
        epsilon: float,
    ) -> None:
        self.value, self.inputs, self.name = value, inputs, name
        self.point, self.direction, self.epsilon = point, direction, epsilon
        reach = float(np.abs(point * direction).max(initial=1.0))
        self.step = 2.0 ** (math.ceil(math.log2(reach)) - 3)
        """A power of two, so that point ± step is exact."""

    def __call__(self, h: float) -> float:
        moved = self.point + h * self.direction
        return float(self.value({**self.inputs, self.name: moved if moved.ndim else float(moved)}))

    def slope(self, given: float, rtol: float, tolerance: float) -> tuple[float, float]:
        """The derivative at 0 and its rounding error; NaN where no two values around the point are finite.

        It is as accurate as a hundredth of `rtol`; of `tolerance`, if it agrees with the given one within that. If it
        does not, that may be an accident: smaller steps may still settle on the given one.
        """
        best, slope, noise = math.inf, math.nan, 0.0
        other: tuple[float, float] | None = None
        above: list[float] = []
        h = self.step
        for _ in range(HALVINGS):
            right, left = self(h), self(-h)
            if math.isfinite(right) and math.isfinite(left):
                rounding = self.epsilon * max(abs(right), abs(left)) / h
                row = [(right - left) / (2 * h)]
                for k, previous in enumerate(above):
                    row.append(row[k] + (row[k] - previous) / (4.0 ** (k + 1) - 1))
                    doubt = max(abs(row[k + 1] - row[k]), abs(row[k + 1] - previous)) + rounding
                    if doubt < best:
                        best, slope, noise = doubt, row[k + 1], rounding
                size = max(abs(slope), abs(other[0]) if other else 0.0)
                wanted = max(rtol * size, tolerance if abs(slope - given) <= tolerance else 0.0)
                above = row
                if best <= 0.01 * wanted:
                    if abs(slope - given) <= max(tolerance, rtol * abs(slope)):
                        return slope, noise
                    other = other or (slope, noise)
                    best, above = math.inf, []
                elif rounding > 100 * best:
                    break
            else:
                above = []
            h /= 2
        return other or (slope, noise)

    def one_sided(self, h: float) -> tuple[float, float]:
        """The slopes to the left and to the right."""
        right, here, left = self(h), self(0.0), self(-h)
        return (here - left) / h, (right - here) / h

    def has_kink(self, given: float, rtol: float) -> bool:
        """Whether the slopes on both sides stay apart as the step shrinks, with the given slope between them."""
        h = self.step * 2.0**-20
        wide, narrow = self.one_sided(h), self.one_sided(h / 16)
        apart = abs(narrow[1] - narrow[0])
        if not apart > max(abs(wide[1] - wide[0]) / 2, 1e-4 * max(map(abs, narrow))):
            return False
        slack = rtol * max(map(abs, narrow)) + abs(narrow[0] - wide[0]) + abs(narrow[1] - wide[1])
        return min(narrow) - slack <= given <= max(narrow) + slack


def _scale(slopes: Sequence[float]) -> float:
    finite = [s for s in slopes if math.isfinite(s)]
    return math.hypot(*finite) / math.sqrt(len(finite)) / 100 if finite else 0.0


def _row(
    name: str,
    position: tuple[int, ...] | None,
    given: float,
    along: _Line,
    slope: float,
    noise: float,
    scale: float,
    rtol: float,
) -> Row:
    difference = abs(given - slope)
    measure = max(abs(given), abs(slope), scale, 10 * noise / rtol)
    error = difference / measure if difference else 0.0
    if error <= rtol:
        return Row(name, position, slope, given, error)
    if along.has_kink(given, rtol):
        return Row(name, position, slope, given, 0.0, "kink")
    if math.isnan(slope):
        return Row(name, position, slope, given, math.inf, "the value is not finite around it")
    return Row(name, position, slope, given, error)
