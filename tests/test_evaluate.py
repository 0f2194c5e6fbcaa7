"""The reference evaluator against plain NumPy, on graphs made by hand; and the rules of a valid graph."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradc.evaluate import evaluate, evaluate_value
from gradc.extents import ONE, Index, Poly, minimum
from gradc.ir import Graph, Node, Place, Read, Reduce, format_graph, reachable, validate

N, M, K = (Poly.atom(d) for d in "nmk")
I, J, L = (Index(p, 0) for p in (N, M, K))  # noqa: E741
I2 = Index(N, 1)
T = Index(Poly.atom(I) + ONE, 0)  # t < i + 1
S = Index(Poly.atom(I), 0)  # s < i
DIMS = {"n": 4, "m": 3, "k": 5}
RANDOM = np.random.default_rng(1)


@pytest.fixture
def g() -> Graph:
    return Graph()


def data(g: Graph, name: str, *axes: Index, kind: str = "float") -> Node:
    return g.node("input", (), (name, axes, kind))


def const(g: Graph, value: float) -> Node:
    return g.node("const", (), value)


def index(g: Graph, i: Index) -> Node:
    return g.node("index", (), i)


def reduce(g: Graph, kind: str, v: Node, *over: Index) -> Node:
    return g.node("reduce", (v,), Reduce(kind, frozenset(over)))  # type: ignore[arg-type]


def read(g: Graph, v: Node, at: dict[Index, Node], guard: Node | None = None) -> Node:
    return g.node("read", (v, *at.values(), *([guard] if guard else [])), Read(tuple(at), guard is not None))


def scatter(g: Graph, v: Node, at: dict[Index, Node], *kept: Index, guard: Node | None = None) -> Node:
    place = Place(tuple(at), frozenset(kept), guard is not None)
    return g.node("scatter", (g.node("place", (v, *at.values(), *([guard] if guard else [])), place),), tuple(at))


def run(g: Graph, node: Node, *axes: Index | None, dims: dict[str, int] = DIMS, **inputs: object) -> np.ndarray:
    validate(g)
    result = evaluate_value(node, axes, inputs, dims)
    assert result.dtype == {"bool": bool, "int": np.int64, "float": np.float64}[node.type]
    return result


# leaves and axes


def test_leaves(g: Graph) -> None:
    assert run(g, const(g, 2.5)) == 2.5
    assert run(g, g.node("dim", (), "m")) == 3
    assert run(g, index(g, I), I).tolist() == [0, 1, 2, 3]
    assert run(g, index(g, T), I, T)[3].tolist() == [0, 1, 2, 3]
    assert run(g, const(g, True)).dtype == bool
    assert math.copysign(1, run(g, const(g, -0.0))) == -1


def test_results_are_over_the_indices_in_order(g: Graph) -> None:
    x = RANDOM.normal(size=(4, 3))
    (result,) = evaluate([data(g, "x", I, J)], {"x": x}, DIMS)
    assert np.array_equal(result, x.T)  # m stands before n
    (scalar,) = evaluate([const(g, 1.0)], {}, {})
    assert isinstance(scalar, np.ndarray)
    assert scalar.shape == ()


def test_several_roots_and_the_same_twice(g: Graph) -> None:
    a, b = const(g, 1.0), const(g, 2)
    assert [r.item() for r in evaluate([b, a, b], {}, {})] == [2, 1.0, 2]


def test_axes_are_permuted_added_and_broadcast(g: Graph) -> None:
    x = RANDOM.normal(size=(4, 3))
    v = data(g, "x", I, J)
    assert np.array_equal(run(g, v, I, J, x=x), x)
    assert np.array_equal(run(g, v, J, None, I, x=x), x.T[:, None, :])
    assert np.array_equal(run(g, v, L, I, None, J, x=x), np.broadcast_to(x[:, None, :], (5, 4, 1, 3)))


def test_an_axis_cannot_be_lost(g: Graph) -> None:
    with pytest.raises(AssertionError, match="lost"):
        run(g, index(g, I), J)


def test_inputs_are_not_changed_or_shared(g: Graph) -> None:
    x = np.arange(4.0)
    (result,) = evaluate([data(g, "x", I)], {"x": x}, DIMS)
    result[:] = -1
    assert x.tolist() == [0, 1, 2, 3]


def test_inputs_are_converted(g: Graph) -> None:
    assert run(g, data(g, "x", I), I, x=[1, 2, 3, 4]).tolist() == [1.0, 2.0, 3.0, 4.0]
    with pytest.raises(TypeError):
        run(g, data(g, "c", I, kind="int"), I, c=[1.5, 2, 3, 4])


@pytest.mark.parametrize("shape", [(5,), (3,), (4, 1), ()])
def test_inputs_of_another_shape_are_refused(g: Graph, shape: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError, match="'x'"):
        run(g, data(g, "x", I), I, x=np.zeros(shape))


def test_an_input_at_equal_axes_is_its_diagonal(g: Graph) -> None:
    x = RANDOM.normal(size=(4, 4))
    assert np.array_equal(run(g, data(g, "x", I, I), I, x=x), np.diag(x))


# scalar functions


def test_functions_broadcast(g: Graph) -> None:
    x, y = RANDOM.normal(size=4), RANDOM.normal(size=3)
    z = g.node("sin", (g.node("sub", (data(g, "x", I), data(g, "y", J))),))
    assert np.array_equal(run(g, z, I, J, x=x, y=y), np.sin(x[:, None] - y))


def test_conditions_are_numbers_in_arithmetic(g: Graph) -> None:
    both = g.node("lt", (index(g, I), const(g, 2)))
    assert run(g, g.node("add", (both, both)), I).tolist() == [2, 2, 0, 0]
    assert run(g, g.node("neg", (both,)), I).tolist() == [-1, -1, 0, 0]
    assert run(g, g.node("exp", (both,)), I).tolist() == [math.e, math.e, 1, 1]
    assert run(g, g.node("not", (both,)), I).tolist() == [False, False, True, True]


def test_integers_stay_integers(g: Graph) -> None:
    i = index(g, I)
    assert run(g, g.node("floordiv", (g.node("sub", (i, const(g, 2))), const(g, 2))), I).tolist() == [-1, -1, 0, 0]
    assert run(g, g.node("mod", (g.node("neg", (i,)), const(g, 3))), I).tolist() == [0, 2, 1, 0]
    assert run(g, g.node("div", (i, const(g, 2))), I).tolist() == [0.0, 0.5, 1.0, 1.5]
    assert run(g, g.node("floor", (i,)), I).dtype == np.float64
    big = const(g, 2**62)
    assert run(g, g.node("add", (big, big))) == -(2**63)


def test_select_takes_either_arm(g: Graph) -> None:
    x = np.array([4.0, -1.0, 0.0, 9.0])
    v = data(g, "x", I)
    positive = g.node("gt", (v, const(g, 0.0)))
    root = g.node("select", (positive, g.node("log", (v,)), const(g, 0.0)))
    assert np.array_equal(run(g, root, I, x=x), [math.log(4), 0, 0, math.log(9)])


def test_convert_and_stop(g: Graph) -> None:
    i = index(g, I)
    assert run(g, g.node("convert", (g.node("lt", (i, const(g, 2))),), "int"), I).tolist() == [1, 1, 0, 0]
    assert run(g, g.node("convert", (i,), "float"), I).tolist() == [0.0, 1.0, 2.0, 3.0]
    assert run(g, g.node("stop", (i,)), I).tolist() == [0, 1, 2, 3]


# reductions and running sums


def test_matrix_product(g: Graph) -> None:
    a, b = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(3, 5))
    c = reduce(g, "sum", g.node("mul", (data(g, "a", I, J), data(g, "b", J, L))), J)
    assert np.allclose(run(g, c, I, L, a=a, b=b), a @ b, rtol=1e-14, atol=1e-15)
    assert run(g, c, I, L, dims={**DIMS, "m": 0}, a=a[:, :0], b=b[:0]).tolist() == np.zeros((4, 5)).tolist()


@pytest.mark.parametrize("kind", ["sum", "prod", "max", "min"])
def test_reductions(g: Graph, kind: str) -> None:
    x = RANDOM.normal(size=(4, 3))
    v = data(g, "x", I, J)
    function = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}[kind]
    assert np.allclose(run(g, reduce(g, kind, v, I), J, x=x), function(x, axis=0), rtol=1e-14)
    assert np.allclose(run(g, reduce(g, kind, v, I, J), x=x), function(x), rtol=1e-14)
    with_nan = np.where(x == x[1, 1], np.nan, x)
    assert np.isnan(run(g, reduce(g, kind, v, I), J, x=with_nan)).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("kind", "of_floats", "of_integers"),
    [("sum", 0.0, 0), ("prod", 1.0, 1), ("max", -math.inf, -(2**63)), ("min", math.inf, 2**63 - 1)],
)
def test_empty_reductions(g: Graph, kind: str, of_floats: float, of_integers: int) -> None:
    dims = {"n": 0}
    assert run(g, reduce(g, kind, data(g, "x", I), I), dims=dims, x=[]) == of_floats
    assert run(g, reduce(g, kind, index(g, I), I), dims=dims) == of_integers
    negative = Index(N - Poly.const(3), 0)
    assert run(g, reduce(g, kind, index(g, negative), negative), dims={"n": 1}) == of_integers


def test_sums_of_integers_are_exact(g: Graph) -> None:
    c = np.array([2**53, 1, 1, 1])
    assert run(g, reduce(g, "sum", data(g, "c", I, kind="int"), I), c=c) == 2**53 + 3


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("sum", sum),
        ("prod", math.prod),
        ("max", lambda r: max(r, default=-math.inf)),
        ("min", lambda r: min(r, default=math.inf)),
    ],
)
def test_triangular_reductions(g: Graph, kind: str, row: object) -> None:
    """sum(x[s] for s in range(i)): the elements past the triangle are as good as absent."""
    x = np.array([3.0, -2.0, 5.0, np.nan])
    v = read(g, data(g, "x", I), {I: index(g, S)})
    result = run(g, reduce(g, kind, v, S), I, x=x)
    assert result.tolist() == pytest.approx([row(x[:i].tolist()) for i in range(4)])  # type: ignore[operator]


def test_triangular_sum_of_both_indices(g: Graph) -> None:
    x = RANDOM.normal(size=(4, 4))
    v = read(g, data(g, "x", I, I2), {I2: index(g, T)})
    assert np.isclose(run(g, reduce(g, "sum", v, I, T), x=x), np.tril(x).sum(), rtol=1e-14)


def test_a_triangle_in_a_triangle(g: Graph) -> None:
    """The bound of the innermost index is an opaque term of the middle one."""
    inner = Index(minimum(Poly.atom(T), Poly.const(2)), 0)
    total = reduce(g, "sum", g.node("add", (index(g, inner), const(g, 1))), I, T, inner)
    assert run(g, total, dims={"n": 6}) == sum(u + 1 for i in range(6) for t in range(i + 1) for u in range(min(t, 2)))


def test_the_box_of_a_triangle_is_its_widest_row(g: Graph) -> None:
    assert run(g, index(g, S), I, S).shape == (4, 3)
    assert run(g, index(g, T), I, T).shape == (4, 4)
    assert run(g, index(g, S), I, S, dims={"n": 0}).shape == (0, 0)


def test_the_box_does_not_count_rows_out_of_range(g: Graph) -> None:
    """u < n + t - i is longest at t = i; it would be longer where t is past i."""
    inner = Index(N + Poly.atom(T) - Poly.atom(I), 0)
    assert run(g, index(g, inner), I, T, inner).shape == (4, 4, 4)


def test_running_sums(g: Graph) -> None:
    x = RANDOM.normal(size=(4, 3))
    v = data(g, "x", I, J)
    assert np.array_equal(run(g, g.node("scan", (v,), I), I, J, x=x), np.cumsum(x, 0))
    assert np.array_equal(run(g, g.node("scan", (v,), J), I, J, x=x), np.cumsum(x, 1))
    assert run(g, g.node("scan", (index(g, I),), I), I).tolist() == [0, 1, 3, 6]
    assert run(g, g.node("scan", (index(g, I),), I), I, dims={"n": 0}).tolist() == []


def test_a_running_sum_over_what_bounds_another_index(g: Graph) -> None:
    """Along i, with t <= i: rows in which t is out of range do not count."""
    scanned = g.node("scan", (g.node("add", (index(g, T), const(g, 1))),), I)
    assert np.tril(run(g, scanned, I, T)).tolist() == [[1, 0, 0, 0], [2, 2, 0, 0], [3, 4, 3, 0], [4, 6, 6, 4]]


# reads


def test_gather(g: Graph) -> None:
    x = RANDOM.normal(size=(4, 3))
    at = np.array([3, 0, 3, 1, 2])
    v = read(g, data(g, "x", I, J), {I: data(g, "at", L, kind="int")})
    assert np.array_equal(run(g, v, L, J, x=x, at=at), x[at])


def test_a_read_replaces_all_axes_at_once(g: Graph) -> None:
    x = RANDOM.normal(size=(4, 4))
    v = data(g, "x", I, I2)
    assert np.array_equal(run(g, read(g, v, {I: index(g, I2), I2: index(g, I)}), I, I2, x=x), x.T)
    assert np.array_equal(run(g, read(g, v, {I2: index(g, I)}), I, x=x), np.diag(x))


def test_a_read_of_a_computed_value(g: Graph) -> None:
    x = RANDOM.normal(size=4)
    backwards = g.node("sub", (const(g, 3), index(g, I)))
    v = read(g, g.node("exp", (data(g, "x", I),)), {I: backwards})
    assert np.array_equal(run(g, v, I, x=x), np.exp(x)[::-1])


def test_a_read_at_a_fixed_place(g: Graph) -> None:
    assert run(g, read(g, data(g, "x", I), {I: const(g, 2)}), x=[1.0, 2.0, 3.0, 4.0]) == 3.0


@pytest.mark.parametrize("position", [-1, 4, 2**62])
def test_reads_out_of_range(g: Graph, position: int) -> None:
    v = read(g, data(g, "x", I), {I: const(g, position)})
    with pytest.raises(IndexError, match=str(position)):
        run(g, v, x=np.zeros(4))


def test_reads_of_nothing(g: Graph) -> None:
    v = read(g, data(g, "x", I), {I: index(g, J)})
    assert run(g, v, J, dims={"n": 0, "m": 0}, x=[]).shape == (0,)
    with pytest.raises(IndexError):
        run(g, v, J, dims={"n": 0, "m": 1}, x=[])


def test_guarded_reads_are_not_made(g: Graph) -> None:
    """x[i - 1] where i > 0; at i = 0 nothing is read, not even the last element."""
    before = g.node("sub", (index(g, I), const(g, 1)))
    guard = g.node("gt", (index(g, I), const(g, 0)))
    v = read(g, data(g, "x", I), {I: before}, guard)
    assert run(g, v, I, x=[1.0, 2.0, 3.0, np.nan]).tolist() == [0, 1, 2, 3]
    never = read(g, data(g, "x", I), {I: before}, const(g, False))
    assert run(g, never, I, dims={"n": 0}, x=[]).shape == (0,)
    assert run(
        g, read(g, data(g, "x", I), {I: index(g, J)}, const(g, False)), J, dims={"n": 0, "m": 2}, x=[]
    ).tolist() == [0, 0]


def test_a_guard_may_have_indices_of_its_own(g: Graph) -> None:
    guard = g.node("lt", (index(g, J), const(g, 1)))
    v = read(g, data(g, "x", I), {I: index(g, L)}, guard)
    result = run(g, v, L, J, dims={"n": 2, "m": 2, "k": 2}, x=[5.0, 6.0])
    assert result.tolist() == [[5, 0], [6, 0]]


def test_a_guard_that_is_true_does_not_hide_a_wrong_place(g: Graph) -> None:
    guard = g.node("ge", (index(g, I), const(g, 0)))
    v = read(g, data(g, "x", I), {I: g.node("add", (index(g, I), const(g, 1)))}, guard)
    with pytest.raises(IndexError, match=r"\(4,\)"):
        run(g, v, I, x=np.zeros(4))


def test_reads_past_a_triangle_do_not_raise(g: Graph) -> None:
    """x[i - 1 - s] for s < i: negative only where there is no such s."""
    back = g.node("sub", (g.node("sub", (index(g, I), const(g, 1))), index(g, S)))
    total = reduce(g, "sum", read(g, data(g, "x", I), {I: back}), S)
    assert run(g, total, I, x=[1.0, 10.0, 100.0, np.nan]).tolist() == [0, 1, 11, 111]


def test_reads_of_a_triangle_outside_it_raise(g: Graph) -> None:
    inside = read(g, index(g, T), {T: index(g, I)})
    assert run(g, inside, I).tolist() == [0, 1, 2, 3]
    outside = read(g, index(g, T), {T: const(g, 1)})
    with pytest.raises(IndexError):
        run(g, outside, I)


# scatters


def test_scatter_accumulates_repeated_places(g: Graph) -> None:
    x, at = RANDOM.normal(size=5), np.array([2, 0, 2, 2, 0])
    v = scatter(g, data(g, "x", L), {I: data(g, "at", L, kind="int")})
    expected = np.zeros(4)
    np.add.at(expected, at, x)
    assert np.array_equal(run(g, v, I, x=x, at=at), expected)


def test_scatter_shares_what_it_keeps(g: Graph) -> None:
    x, at = RANDOM.normal(size=(5, 3)), np.array([2, 0, 2, 2, 0])
    place = {I: data(g, "at", L, kind="int")}
    v = data(g, "x", L, J)
    kept, summed = scatter(g, v, place, J), scatter(g, v, place)
    expected = np.zeros((4, 3))
    np.add.at(expected, at, x)
    assert np.array_equal(run(g, kept, I, J, x=x, at=at), expected)
    assert np.allclose(run(g, summed, I, x=x, at=at), expected.sum(1), rtol=1e-14)


def test_scatter_counts_every_iteration(g: Graph) -> None:
    """An index only the place or the guard has is iterated as well."""
    v = scatter(g, const(g, 1), {I: g.node("mod", (index(g, L), const(g, 2)))})
    assert run(g, v, I).tolist() == [3, 2, 0, 0]
    guarded = scatter(g, const(g, 1), {I: const(g, 1)}, guard=g.node("lt", (index(g, L), const(g, 2))))
    assert run(g, guarded, I).tolist() == [0, 2, 0, 0]


def test_scatter_onto_the_index_it_comes_from(g: Graph) -> None:
    """out[i + 1] += x[i] where i + 1 < n."""
    after = g.node("add", (index(g, I), const(g, 1)))
    v = scatter(g, data(g, "x", I), {I: after}, guard=g.node("lt", (after, g.node("dim", (), "n"))))
    assert run(g, v, I, x=[1.0, 2.0, 3.0, np.nan]).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("position", [-1, 4])
def test_places_out_of_range(g: Graph, position: int) -> None:
    with pytest.raises(IndexError, match=str(position)):
        run(g, scatter(g, index(g, J), {I: const(g, position)}), I)


def test_a_place_of_its_own(g: Graph) -> None:
    """Over what it keeps, then its axes, though the axis stands first in order."""
    place = g.node("place", (index(g, I), const(g, 2)), Place((J,), frozenset({I})))
    (result,) = evaluate([place], {}, DIMS)
    assert result.tolist() == [[0, 0, i] for i in range(4)]


def test_a_scatter_is_the_sum_of_its_places(g: Graph) -> None:
    """One place keeps j, the other does not have it."""
    first = g.node("place", (index(g, J), const(g, 1)), Place((I,), frozenset({J})))
    second = g.node("place", (const(g, 10), const(g, 2)), Place((I,), frozenset()))
    v = g.node("scatter", (first, second), (I,))
    expected = np.zeros((4, 3))
    expected[1] += np.arange(3)
    expected[2] += 10
    assert np.array_equal(run(g, v, I, J), expected)


def test_scatter_from_a_triangle(g: Graph) -> None:
    """out[s] += 1 for i, s < i; out[i, s] += 1 keeps i."""
    total = scatter(g, const(g, 1), {I2: index(g, S)})
    assert run(g, total, I2).tolist() == [3, 2, 1, 0]
    lower = scatter(g, const(g, 1), {I2: index(g, S)}, I)
    assert np.array_equal(run(g, lower, I, I2), np.tril(np.ones((4, 4)), -1))


def test_scatter_is_the_adjoint_of_read(g: Graph) -> None:
    """<y, x[at]> = <scatter(y, at), x> for a read with repeated places and a guard."""
    x, y, at = RANDOM.normal(size=4), RANDOM.normal(size=5), np.array([2, 0, 9, 2, -1])
    places = data(g, "at", L, kind="int")
    guard = g.node("and", (g.node("ge", (places, const(g, 0))), g.node("lt", (places, g.node("dim", (), "n")))))
    forward = read(g, data(g, "x", I), {I: places}, guard)
    back = scatter(g, data(g, "y", L), {I: places}, guard=guard)
    assert y @ run(g, forward, L, x=x, at=at) == pytest.approx(run(g, back, I, y=y, at=at) @ x, rel=1e-14)


# size


def test_a_chain_of_100000(g: Graph) -> None:
    x = v = data(g, "x")
    for _ in range(100_000):
        v = g.node("add", (v, x))
    assert run(g, v, x=1.0) == 100_001


# the graph


def test_equal_nodes_are_one(g: Graph) -> None:
    x = data(g, "x", I)
    assert g.node("add", (x, x)) is g.node("add", (x, x))
    assert g.node("sub", (x, const(g, 1.0))) is not g.node("sub", (const(g, 1.0), x))
    assert const(g, 0.0) is not const(g, -0.0)
    assert const(g, math.nan) is const(g, math.nan)
    assert len({const(g, 1), const(g, 1.0), const(g, True)}) == 3


def test_reachable(g: Graph) -> None:
    x = data(g, "x", I)
    y = g.node("mul", (x, x))
    g.node("exp", (x,))
    z = g.node("add", (x, y))
    assert reachable([z]) == [x, y, z]


def test_printed_form(g: Graph) -> None:
    total = reduce(g, "sum", g.node("mul", (data(g, "x", I), const(g, 2.0))), I)
    assert format_graph([total]).splitlines() == [
        "    %0 = x[[n]]                                             float  over [n]",
        "    %1 = 2.0                                                float",
        "    %2 = mul(%0, %1)                                        float  over [n]",
        "    %3 = sum over [n] of %2                                 float",
    ]


# the rules


def refused(g: Graph, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        validate(g)


def test_rule_numbers(g: Graph) -> None:
    const(g, 1.0), const(g, 2.0)
    validate(g)
    g.nodes.reverse()
    refused(g, "out of place")


def test_rule_arguments_first(g: Graph) -> None:
    g.nodes.append(Node("neg", (Node("const", (), 1, "int", frozenset(), 1),), None, "int", frozenset(), 0))
    refused(g, "not before it")


def test_rule_arguments_of_the_same_graph(g: Graph) -> None:
    const(g, 1.0)
    g.node("neg", (Graph().node("const", (), 2.0),))
    refused(g, "not before it")


def test_rule_indices_are_closed(g: Graph) -> None:
    reduce(g, "sum", index(g, T), I)
    refused(g, "without the indices of its bound")


def test_rule_places_keep_closed_indices(g: Graph) -> None:
    scatter(g, index(g, T), {J: const(g, 0)}, T)
    refused(g, "without the indices of its bound")


@pytest.mark.parametrize(
    "attr", [Read((I,)), Read((I, I2)), Read((I,), True), Place((I,), frozenset()), Place((I,), frozenset(), True)]
)
def test_rule_subscripts_are_counted(g: Graph, attr: Read | Place) -> None:
    v = data(g, "x", I, I2)
    g.node("read" if isinstance(attr, Read) else "place", (v,), attr)
    refused(g, "wrong number of subscripts")


def test_rule_subscripts_are_not_too_many(g: Graph) -> None:
    g.node("read", (data(g, "x", I), const(g, 0), const(g, 0)), Read((I,)))
    refused(g, "wrong number of subscripts")


def test_rule_subscripts_are_integers(g: Graph) -> None:
    read(g, data(g, "x", I), {I: const(g, 1.0)})
    refused(g, "not an integer")


def test_rule_places_are_at_integers(g: Graph) -> None:
    scatter(g, data(g, "x", I), {J: const(g, True)})
    refused(g, "not an integer")


def test_rule_guards_are_conditions(g: Graph) -> None:
    read(g, data(g, "x", I), {I: const(g, 1)}, const(g, 1))
    refused(g, "not a condition")


def test_rule_guards_of_places_are_conditions(g: Graph) -> None:
    scatter(g, data(g, "x", I), {J: const(g, 1)}, guard=const(g, 1.0))
    refused(g, "not a condition")


def test_reads_along_what_a_value_lacks_are_checked(g: Graph) -> None:
    constant = read(g, data(g, "c"), {I: data(g, "k", kind="int")})
    for k in (0, 2):
        assert evaluate([constant], {"c": 7.0, "k": k}, {"n": 3}) == [7.0]
    for k in (-1, 3):
        with pytest.raises(IndexError, match="no such element"):
            evaluate([constant], {"c": 7.0, "k": k}, {"n": 3})


@pytest.mark.parametrize("over", [(), (J,), (I, J)])
def test_rule_reductions_have_their_index(g: Graph, over: tuple[Index, ...]) -> None:
    reduce(g, "sum", data(g, "x", I), *over)
    refused(g, "reduces over an index")


def test_rule_scans_have_their_index(g: Graph) -> None:
    g.node("scan", (data(g, "x", I),), J)
    refused(g, "scans along")


def test_rule_scatters_gather_places(g: Graph) -> None:
    g.node("scatter", (data(g, "x", I),), (I,))
    refused(g, "other than places")


def test_rule_scatters_gather_places_of_their_axes(g: Graph) -> None:
    place = g.node("place", (const(g, 1.0), const(g, 1)), Place((I,), frozenset()))
    g.node("scatter", (place,), (J,))
    refused(g, "other than places")


def test_rule_selects_have_a_condition(g: Graph) -> None:
    g.node("select", (const(g, 1), const(g, 1.0), const(g, 2.0)))
    refused(g, "selects with types")


def test_rule_selects_have_arms_of_one_type(g: Graph) -> None:
    g.node("select", (const(g, True), const(g, 1.0), const(g, 2)))
    refused(g, "selects with types")


@pytest.mark.parametrize(("op", "count"), [("add", 1), ("add", 3), ("exp", 2)])
def test_rule_functions_have_their_arguments(g: Graph, op: str, count: int) -> None:
    g.node(op, (const(g, 1.0),) * count)
    refused(g, "wrong number of arguments")
