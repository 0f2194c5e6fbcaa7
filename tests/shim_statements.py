"""Statements run by Python over NumPy, for `numpy_shim`: conditions on arrays choose element by element.

Helpers are closures; their derivatives are complex steps, and where the point moves itself, differences of those.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

STEP = 1e-100
NEAR = 2.0**-12
SETTLED = "settled_"
"""Under this name programs see what keeps their decisions."""
Names = dict[str, Any]
Evaluate = Callable[[ast.expr, Names], Any]
Returned = list[tuple[Any, Any]]
"""Values with the conditions under which they are returned; None for the rest."""


def run(body: Sequence[ast.stmt], names: Names, evaluate: Evaluate) -> Any:
    """What a body returns."""
    *earlier, (guard, value) = _run(body, names, evaluate)
    assert guard is None
    for guard, other in reversed(earlier):
        value = np.where(guard, other, value)[()]
    return value


def _run(body: Sequence[ast.stmt], names: Names, evaluate: Evaluate) -> Returned:
    returned: Returned = []
    for statement in body:
        match statement:
            case ast.Return(ast.expr() as value) | ast.Expr(value) if statement is body[-1]:
                return [*returned, (None, evaluate(value, names))]
            case ast.Assign([ast.Name(name)], value):
                names[name] = evaluate(value, names)
            case ast.FunctionDef():
                defaults = tuple(evaluate(d, names) for d in statement.args.defaults)
                names[statement.name] = Helper(statement, defaults, names, evaluate)
            case ast.If():
                found = _choice(statement, names, evaluate)
                returned += found
                if found and found[-1][0] is None:
                    return returned
            case ast.Expr(ast.Constant()) | ast.Pass():
                pass
            case _:
                raise NotImplementedError(ast.dump(statement))
    return returned


def _choice(tree: ast.If, names: Names, evaluate: Evaluate) -> Returned:
    condition = np.real(evaluate(tree.test, names)) != 0
    if np.ndim(condition) == 0:
        return _run(tree.body if condition else tree.orelse, names, evaluate)
    yes, no = dict(names), dict(names)
    if _run(tree.body, yes, evaluate) or _run(tree.orelse, no, evaluate):
        raise NotImplementedError("returns under conditions on arrays")
    for name in yes.keys() & no.keys():
        if yes[name] is not names.get(name) or no[name] is not names.get(name):
            names[name] = np.where(condition, yes[name], no[name])[()]
    return []


@dataclass(frozen=True, eq=False)
class Helper:
    """A helper and the names it sees, which are those of the program when it is called."""

    tree: ast.FunctionDef
    defaults: tuple[Any, ...]
    names: Names
    evaluate: Evaluate

    def bound(self, args: Sequence[Any], keywords: Names) -> list[Any]:
        params = [a.arg for a in self.tree.args.args]
        given = dict(zip(params[len(params) - len(self.defaults) :], self.defaults, strict=True))
        given |= dict(zip(params, args, strict=False)) | keywords
        return [given[p] for p in params]

    def at(self, values: Sequence[Any]) -> Any:
        params = (a.arg for a in self.tree.args.args)
        return run(self.tree.body, {**self.names, **dict(zip(params, values, strict=True))}, self.evaluate)

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        return self.at(self.bound(args, keywords))

    def moved(self, step: float) -> Helper:
        """The helper where all it sees has moved along its tangent."""
        names = {n: v for n, v in self.names.items() if not isinstance(v, Helper | Derivative)}
        names = {n: _moved(v, step) for n, v in names.items()}
        others = {n: v for n, v in self.names.items() if isinstance(v, Helper)}
        names |= {
            n: replace(v, names=names, defaults=tuple(_moved(d, step) for d in v.defaults)) for n, v in others.items()
        }
        return replace(self, names=names)


@dataclass(frozen=True, eq=False)
class Derivative:
    """The gradient of a function by one of its arguments."""

    of: Helper | Derivative
    k: int = 0

    def bound(self, args: Sequence[Any], keywords: Names) -> list[Any]:
        return self.of.bound(args, keywords)

    @property
    def names(self) -> Names:
        return self.of.names

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        return self.at(self.bound(args, keywords))

    def at(self, values: Sequence[Any]) -> Any:
        with self.names[SETTLED].aside():
            if not builtins.any(map(_moves, (*values, *self.names.values()))):
                return self._complex_step([_real(v) for v in values])
            slope = self._slope(values)
            return self.moved(0.0)._complex_step([_moved(v, 0.0) for v in values]) + 1j * STEP * slope

    def moved(self, step: float) -> Derivative:
        return replace(self, of=self.of.moved(step))

    def _complex_step(self, values: list[Any]) -> Any:
        point = np.asarray(values[self.k], float)
        slopes = np.zeros(point.shape)
        for k in np.ndindex(point.shape):
            there = point.astype(complex)
            there[k] += 1j * STEP
            slopes[k] = np.imag(self.of.at([*values[: self.k], there[()], *values[self.k + 1 :]])) / STEP
        return slopes[()]

    def _slope(self, values: Sequence[Any]) -> Any:
        def there(step: float) -> Any:
            return self.moved(step)._complex_step([_moved(v, step) for v in values])

        wide, narrow = ((there(h) - there(-h)) / (2 * h) for h in (2 * NEAR, NEAR))
        return narrow + (narrow - wide) / 3


def _moves(value: Any) -> bool:
    return np.iscomplexobj(value) and bool(np.any(np.imag(value)))


def _real(value: Any) -> Any:
    return np.real(value) if np.iscomplexobj(value) else value


def _moved(value: Any, step: float) -> Any:
    return np.real(value) + step * (np.imag(value) / STEP) if np.iscomplexobj(value) else value
