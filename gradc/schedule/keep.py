"""Values that are kept in the array of a result, each where it is needed again for that result.

To keep them takes no array, since the result's is there anyway: its elements are written when these have been read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from gradc.extents import Index
from gradc.ir import Node

Keepable = dict[Node, dict[Node, frozenset[Node]]]
"""For each output, values over its axes; for each of those, who reads it for this output and for nothing else."""


def keepable(
    nodes: Sequence[Node],
    deps: Mapping[Node, Mapping[Node, frozenset[Index]]],
    users: Mapping[Node, Sequence[Node]],
    needed: Set[Node],
) -> Keepable:
    """What may be kept. `nodes` stand before their users, and who reads it for an output before the output.

    `deps` are the nodes that each reads, with the indices along which it reads them at other places than its own;
    `needed` are wanted by others than nodes.
    """
    if not any(n.op == "output" for n in nodes):
        return {}
    only_for: dict[Node, Node | None] = {}
    for n in reversed(nodes):
        ends = {only_for[u] for u in users[n]}
        only_for[n] = n if n.op == "output" else ends.pop() if len(ends) == 1 and n not in needed else None
    found: Keepable = {}
    for a in nodes:
        for output in dict.fromkeys(only_for[u] for u in users[a]):
            if output is None or output is only_for[a] or not a.type == output.type == "float":
                continue
            readers = frozenset(u for u in users[a] if only_for[u] is output)
            if a.indices == frozenset(output.axes) and not any(deps[u][a] for u in readers):
                found.setdefault(output, {})[a] = readers
    return found
