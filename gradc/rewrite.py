"""Value-preserving rewrites of the graph: stable forms before differentiation, shared exponentials after it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

from gradc.build import Builder
from gradc.extents import in_order
from gradc.ir import Linear, Node, Place, Read, Reduce, reachable
from gradc.lower.reductions import Reductions
from gradc.ops import OPS
from gradc.program import Provenance

Rule = Callable[[Builder, str, tuple[Node, ...], Node], tuple[Node, str] | None]
LOGISTIC = ("sigmoid", "log_sigmoid", "softplus")


def rebuild(
    build: Builder,
    provenance: Provenance,
    roots: Iterable[Node],
    ops: Container[str],
    rule: Rule,
    also: Callable[[Node], tuple[Node, ...]] | None = None,
) -> dict[Node, Node]:
    """Makes every node again over its rewritten arguments.

    `rule` may return another node and a note on it; it is asked about nodes of these `ops`. `also` names other nodes
    that a node will need: `rule` is given them behind the arguments, rewritten.
    """
    nodes = reachable(roots) if also is None else _needed_first(roots, also)
    done: dict[Node, Node] = {n: n for n in nodes}
    if not any(n.op in ops for n in nodes):
        return done
    for old in nodes:
        args = tuple(map(done.__getitem__, old.args))
        if args == old.args and old.op not in ops:
            continue
        if also is not None:
            args += tuple(done.get(a, a) for a in also(old))
        before = len(build.graph.nodes)
        ruled = rule(build, old.op, args, old) if old.op in ops else None
        new = ruled[0] if ruled else remake(build, old, args[: len(old.args)])
        for made in build.graph.nodes[before:]:
            if old in provenance.origins:
                provenance.origins.setdefault(made, provenance.origins[old])
            if old in provenance.adjoint_of:
                provenance.adjoint_of.setdefault(made, provenance.adjoint_of[old])
        if new is not old:
            provenance.inherit(new, old)
        if ruled and ruled[1]:
            provenance.notes.setdefault(new, ruled[1])
        done[old] = new
    return done


def _needed_first(roots: Iterable[Node], also: Callable[[Node], tuple[Node, ...]]) -> list[Node]:
    """The roots and all they are made of and need, in this order where needs do not go round in circles."""
    made: dict[Node, None] = {}
    begun: set[Node] = set()
    stack = list(roots)
    while stack:
        n = stack[-1]
        if n not in begun:
            begun.add(n)
            stack += [a for a in (*also(n), *n.args) if a not in begun]
        else:
            made.setdefault(stack.pop())
    return list(made)


def remake(build: Builder, old: Node, args: tuple[Node, ...]) -> Node:
    """The same operation on other arguments."""
    if args == old.args:
        return old
    if old.op in OPS:
        return build.op(old.op, *args)
    if old.op == "select":
        return build.select(*args)
    if old.op == "convert":
        return build.convert(args[0], old.type)
    if old.op == "stop":
        return build.stop(args[0])
    if old.op == "scan":
        return build.scan(old.index, args[0])
    if isinstance(old.attr, Reduce):
        return build.reduce(old.attr.kind, in_order(old.attr.over), args[0])
    if isinstance(old.attr, Read):
        at = args[1 : 1 + len(old.axes)]
        return (
            build.read_where(args[-1], args[0], old.axes, at) if old.attr.guarded else build.read(args[0], old.axes, at)
        )
    if isinstance(old.attr, Linear):
        arrays = list(zip(args, old.inner, strict=False))
        return build.linear(old.kind, arrays, old.axes, args[-1] if old.attr.guarded else None)
    if old.op == "spread":
        return build.whole(args[0], old.axes)
    if isinstance(old.attr, Place):
        at = args[1 : 1 + len(old.axes)]
        return build.place(args[0], old.attr.axes, at, old.attr.kept, args[-1] if old.attr.guarded else None)
    return build.graph.node(old.op, args, old.attr)


def stabilise(build: Builder, provenance: Provenance, root: Node) -> Node:
    """Forms that overflow or cancel, replaced by the functions that do not: `log(sigmoid(z))` by `log_sigmoid(z)`."""
    return rebuild(build, provenance, [root], ("log", "log1p", "sub", "div"), _stable)[root]


def without_stops(build: Builder, provenance: Provenance, roots: list[Node]) -> list[Node]:
    """Once everything is differentiated, a value with no derivative is a value like any other."""
    done = rebuild(build, provenance, roots, ("stop",), lambda b, op, args, old: (args[0], ""))
    return [done[r] for r in roots]


def condense(build: Builder, provenance: Provenance, roots: list[Node]) -> list[Node]:
    """Cheaper forms of values whose derivatives are there already: from these the derivatives would lose digits."""
    done = rebuild(build, provenance, roots, ("add",), _condensed)
    return [done[r] for r in roots]


def _condensed(build: Builder, op: str, args: tuple[Node, ...], old: Node) -> tuple[Node, str] | None:
    """t*log_sigmoid(z) + (1 - t)*log_sigmoid(-z), where one of the linear parts is always 0, with the other alone."""
    if op != "add" or any(a.op != "mul" or a.args[1].op != "log_sigmoid" for a in args):
        return None
    for (t, yes), (rest, no) in ((args[0].args, args[1].args), (args[1].args, args[0].args)):
        z = yes.args[0]
        complement = rest.op == "sub" and _is(rest.args[0], 1) and rest.args[1] is t
        if complement and z.op != "neg" and build.op("neg", z) is no.args[0]:
            slope = build.select(build.op("ge", z, build.const(0.0)), build.op("neg", rest), t)
            tail = build.op("log1p", build.op("exp", build.op("neg", build.op("abs", z))))
            note = "log(y) and log(1 - y) of y = sigmoid(z), both from one log1p(exp(-abs(z)))"
            return build.op("sub", build.op("mul", slope, z), tail), note
    return None


def share_exponentials(build: Builder, provenance: Provenance, roots: list[Node]) -> list[Node]:
    """Where several of sigmoid, softplus and log_sigmoid of one value are needed, one exponential serves them all."""
    families: dict[Node, set[Node]] = {}
    for n in reachable(roots):
        if n.op in LOGISTIC:
            families.setdefault(_magnitude(n.args[0]), set()).add(n)
    shared = {n for family in families.values() if len(family) > 1 for n in family}
    if not shared:
        return roots
    done = rebuild(
        build,
        provenance,
        roots,
        LOGISTIC,
        lambda b, op, args, old: (_logistic(b, op, args[0]), "") if old in shared else None,
    )
    return [done[r] for r in roots]


def _stable(build: Builder, op: str, args: tuple[Node, ...], old: Node) -> tuple[Node, str] | None:
    if op == "log":
        return _stable_log(build, args[0])
    if op == "log1p" and args[0].op == "exp":
        return build.op("softplus", args[0].args[0]), "log1p(exp(z)) computed as softplus(z)"
    if op == "sub":
        a, b = args
        if _is(a, 1) and b.op == "sigmoid":
            return build.op("sigmoid", build.op("neg", b.args[0])), "1 - sigmoid(z) computed as sigmoid(-z)"
        if a.op == "exp" and _is(b, 1):
            return build.op("expm1", a.args[0]), "exp(x) - 1 computed as expm1(x)"
        if _is(a, 1) and b.op == "exp":
            return build.op("neg", build.op("expm1", b.args[0])), "1 - exp(x) computed as -expm1(x)"
    if op == "div":
        a, b = args
        exponential = _one_plus_exp(b)
        if exponential is not None and _is(a, 1):
            return build.op("sigmoid", build.op("neg", exponential.args[0])), "1/(1 + exp(-z)) computed as sigmoid(z)"
        if exponential is not None and a is exponential:
            return build.op("sigmoid", a.args[0]), "exp(z)/(1 + exp(z)) computed as sigmoid(z)"
    return None


def _stable_log(build: Builder, x: Node, depth: int = 3) -> tuple[Node, str] | None:
    if x.op == "sigmoid":
        return build.op("log_sigmoid", x.args[0]), "log(sigmoid(z)) computed as log_sigmoid(z)"
    if x.op == "exp":
        return x.args[0], "log(exp(x)) computed as x"
    exponential = _one_plus_exp(x)
    if exponential is not None:
        return build.op("softplus", exponential.args[0]), "log(1 + exp(z)) computed as softplus(z)"
    if x.op == "add" and (_is(x.args[0], 1) or _is(x.args[1], 1)):
        other = x.args[1] if _is(x.args[0], 1) else x.args[0]
        return build.op("log1p", other), "log(1 + x) computed as log1p(x)"
    if x.op == "sub" and _is(x.args[0], 1):
        return build.op("log1p", build.op("neg", x.args[1])), "log(1 - x) computed as log1p(-x)"
    if x.op == "div" and _is(x.args[0], 1):
        return build.op("neg", build.op("log", x.args[1])), "log(1/x) computed as -log(x)"
    if x.op == "div" and x.args[0].op == "exp":
        return build.op("sub", x.args[0].args[0], build.op("log", x.args[1])), "log(exp(u)/s) computed as u - log(s)"
    if x.op == "div" and depth:
        above, below = (_stable_log(build, a, depth - 1) for a in x.args)
        if above or below:
            parts = [p[0] if p else build.op("log", a) for p, a in zip((above, below), x.args, strict=True)]
            return build.op("sub", *parts), (above or below or ("", ""))[1]
    if x.op == "read" and x.guard is None and depth:
        inner = _stable_log(build, x.args[0], depth - 1)
        return None if inner is None else (build.read(inner[0], x.axes, x.subscripts), inner[1])
    if (
        isinstance(x.attr, Reduce)
        and x.attr.kind == "sum"
        and x.args[0].op == "exp"
        and not _is_shifted(x.args[0].args[0])
    ):
        stable = Reductions(build).logsumexp(x.args[0].args[0], in_order(x.attr.over))
        return stable, "log(sum(exp(z))) computed with the largest term taken out"
    return None


def _is_shifted(x: Node) -> bool:
    return x.op == "sub" and x.args[1].op == "select" and x.args[1].args[1].op == "stop"


def _one_plus_exp(x: Node) -> Node | None:
    """exp(z), where x is 1 + exp(z)."""
    if x.op == "add":
        for one, other in (x.args, x.args[::-1]):
            if _is(one, 1) and other.op == "exp":
                return other
    return None


def _logistic(build: Builder, op: str, z: Node) -> Node:
    """sigmoid, softplus or log_sigmoid of ±m by way of exp(-abs(m))."""
    m = _magnitude(z)
    exponential = build.op("exp", build.op("neg", build.op("abs", m)))
    zero, one = build.const(0.0), build.const(1.0)
    if op == "sigmoid":
        large = build.op("div", one, build.op("add", one, exponential))
        small = build.op("mul", exponential, large)
        arms = (large, small) if z is m else (small, large)
        return build.select(build.op("ge", m, zero), *arms)
    tail = build.op("log1p", exponential)
    if op == "softplus":
        return build.op("add", build.op("maximum", z, zero), tail)
    return build.op("sub", build.op("minimum", z, zero), tail)


def _magnitude(z: Node) -> Node:
    return z.args[0] if z.op == "neg" else z


def _is(node: Node, value: float) -> bool:
    return node.op == "const" and node.value == value
