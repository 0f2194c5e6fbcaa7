"""Conditions that can be known before what they guard.

`y = a[i] if i < n else 0` followed by `z = y if y > 0 else 1` reads `a[i]` where `i < n`, and there where also `y > 0`.
The second says more, but it cannot be asked before `a[i]` is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter

from gradc.build import Builder
from gradc.ir import Node
from gradc.rewrite import needed_first

JOINING = ("and", "or")


def without_circles(build: Builder, roots: Iterable[Node], conditions: Mapping[Node, Node]) -> dict[Node, Node]:
    """The conditions of nodes, weaker where they depend on what they guard; without those of which nothing is left.

    Of a circle of values and conditions, a value is guarded only by what is older: so no circle is left.
    """

    def needs(n: Node) -> tuple[Node, ...]:
        return (*n.args, conditions[n]) if n in conditions else n.args

    circle = _components(needed_first(roots, needs), needs)

    def known_before(condition: Node, value: Node) -> Node | None:
        found: dict[Node, Node | None] = {}
        for c in _parts(condition):
            if circle[c] is not circle[value]:
                found[c] = c
            elif c.op not in JOINING:
                found[c] = c if c.number < value.number else None
            else:
                first, second = (found[a] for a in c.args)
                if first is not None and second is not None:
                    found[c] = build.op(c.op, first, second)
                else:
                    found[c] = (first or second) if c.op == "and" else None
        return found[condition]

    found = {value: known_before(condition, value) for value, condition in conditions.items()}
    return {value: condition for value, condition in found.items() if condition is not None}


def _parts(condition: Node) -> list[Node]:
    """What a condition is joined of, and the condition, arguments first."""
    found = {condition}
    stack = [condition]
    while stack:
        c = stack.pop()
        if c.op in JOINING:
            stack += [a for a in c.args if a not in found]
            found.update(c.args)
    return sorted(found, key=attrgetter("number"))


def _components(order: list[Node], needs: Callable[[Node], Iterable[Node]]) -> dict[Node, Node]:
    """One node for all those that need each other, directly or not (Kosaraju's and Sharir's algorithm)."""
    users: dict[Node, list[Node]] = {n: [] for n in order}
    for n in order:
        for a in needs(n):
            users[a].append(n)
    found: dict[Node, Node] = {}
    for n in reversed(order):
        stack = [n]
        while stack:
            m = stack.pop()
            if m not in found:
                found[m] = n
                stack += users[m]
    return found
