"""Polynomials of dims and indices: arithmetic, canonical form, evaluation, text, proofs of sign."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gradc.extents import ONE, Atom, Entry, Index, Poly, Term, floor_div, in_order, maximum, minimum, wrapped

N, M, K = (Poly.atom(d) for d in "nmk")
I = Index(N, 0)  # noqa: E741
I2 = Index(N, 1)
J = Index(Poly.atom(I) + ONE, 0)
L = Index(N - Poly.atom(I), 0)
P = Index(Poly.atom(J), 0)
INDICES = (I, I2, J, L, P)
NAMES = {I: "i", I2: "i2", J: "j", L: "l", P: "p"}
ATOMS: tuple[Atom, ...] = ("n", "m", "k", *INDICES)

# Expressions are nested tuples, so that Python's own integers say what a polynomial must come to.
LEAVES = st.one_of(st.integers(-4, 4), st.sampled_from(ATOMS))
PLAIN = st.recursive(LEAVES, lambda e: st.tuples(st.sampled_from("+-*"), e, e), max_leaves=6)
DIVISORS = st.one_of(
    st.sampled_from([-3, -1, 1, 2, 3]),
    st.sampled_from([("*", 2, "n"), ("*", "n", "m"), ("+", "n", "m"), "n", ("*", -1, "m")]),
)
OPAQUE = st.recursive(
    LEAVES,
    lambda e: st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "min", "max"]), e, e),
        st.tuples(st.sampled_from(["//", "%"]), e, DIVISORS),
        st.tuples(st.just("wrap"), e, st.sampled_from(["n", ("+", "m", 1)])),
    ),
    max_leaves=6,
)
POSITIVE = st.fixed_dictionaries({a: st.integers(1, 6) for a in ATOMS})


def poly_of(expression: object) -> Poly:
    if isinstance(expression, int):
        return Poly.const(expression)
    if not isinstance(expression, tuple):
        return Poly.atom(expression)
    op, a, b = expression[0], poly_of(expression[1]), poly_of(expression[2])
    if op == "//":
        return floor_div(a, b)
    if op == "%":
        return Poly.atom(Term("%", (a, b)))
    if op == "wrap":
        return wrapped(a, b)
    if op in ("min", "max"):
        return minimum(a, b) if op == "min" else maximum(a, b)
    return a + b if op == "+" else a - b if op == "-" else a * b


def value_of(expression: object, values: dict[Atom, int]) -> int:
    if isinstance(expression, int):
        return expression
    if not isinstance(expression, tuple):
        return values[expression]
    op, a, b = expression[0], value_of(expression[1], values), value_of(expression[2], values)
    if op in ("//", "%"):
        return a // b if op == "//" else a % b
    if op == "wrap":
        return a if a >= 0 else a + b
    if op in ("min", "max"):
        return min(a, b) if op == "min" else max(a, b)
    return a + b if op == "+" else a - b if op == "-" else a * b


def points(atoms: frozenset[Atom], limit: int) -> Iterator[dict[Atom, int]]:
    """All values of the dims below `limit`, and of the indices within their ranges."""
    indices = in_order(frozenset().union(*(i.closure for i in atoms if isinstance(i, Index))))
    dims = sorted({a for a in atoms if isinstance(a, str)}.union(*(i.extent.dims for i in indices)))
    for sizes in itertools.product(range(limit), repeat=len(dims)):
        partial: list[dict[Atom, int]] = [dict(zip(dims, sizes, strict=True))]
        for i in indices:
            partial = [{**p, i: v} for p in partial for v in range(i.extent.length(p))]
        yield from partial


@given(PLAIN, POSITIVE)
def test_polynomials_compute_as_integers_do(expression: object, values: dict[Atom, int]) -> None:
    assert poly_of(expression).evaluate(values) == value_of(expression, values)


@given(OPAQUE, st.data())
def test_opaque_terms_compute_as_integers_do(expression: object, data: st.DataObject) -> None:
    # minimum and maximum drop an argument by what they know of the ranges, so the values must be within them
    values = data.draw(st.sampled_from([p for p in points(frozenset(ATOMS), 4) if p["n"] and p["m"]]))
    assert poly_of(expression).evaluate(values) == value_of(expression, values)


@given(PLAIN, PLAIN, PLAIN)
def test_equal_polynomials_have_one_form(a: object, b: object, c: object) -> None:
    p, q, r = poly_of(a), poly_of(b), poly_of(c)
    for left, right in [
        (p + q, q + p),
        (p * q, q * p),
        ((p + q) + r, p + (q + r)),
        ((p * q) * r, p * (q * r)),
        (p * (q + r), p * q + p * r),
        (p - q, -(q - p)),
        (p - p, Poly(())),
        (p * ONE, p),
        (p * Poly(()), Poly(())),
    ]:
        assert left == right
        assert hash(left) == hash(right)
        assert left.terms == right.terms


@given(PLAIN, PLAIN)
def test_different_polynomials_are_unequal(a: object, b: object) -> None:
    p, q = poly_of(a), poly_of(b)
    # with such values (Kronecker's substitution) no two polynomials this small agree
    far: dict[Atom, int] = {atom: 10 ** (6 * 8**k) for k, atom in enumerate(ATOMS[:3])}
    assume((p.atoms | q.atoms) <= far.keys())
    assert (p == q) == (p.evaluate(far) == q.evaluate(far))


def test_a_polynomial_is_not_a_number() -> None:
    assert Poly.const(3) != 3
    assert Poly.const(0) == Poly(())


def test_constant() -> None:
    assert Poly(()).constant == 0
    assert (N - N + Poly.const(-7)).constant == -7
    assert N.constant is None
    assert (N + ONE).constant is None


def test_indices_are_equal_by_extent_and_occurrence() -> None:
    assert Index(N * Poly.const(2), 0) == Index(N + N, 0)
    assert hash(Index(N * Poly.const(2), 0)) == hash(Index(N + N, 0))
    assert I != I2
    assert Index(M, 0) != I
    assert I != "n"


def test_closure_holds_all_outer_indices() -> None:
    assert I.closure == {I}
    assert J.closure == {I, J}
    assert P.closure == {I, J, P}
    assert Index(minimum(Poly.atom(J), K), 0).closure >= {I, J}


def test_dims_and_atoms_look_into_terms_and_bounds() -> None:
    poly = floor_div(Poly.atom(P), K) * M
    assert poly.dims == {"n", "k", "m"}
    assert poly.indices == {P}
    assert {"k", "m", P} <= poly.atoms


def test_length_is_never_negative() -> None:
    assert (N - Poly.const(3)).length({"n": 1}) == 0
    assert (N - Poly.const(3)).length({"n": 5}) == 2


@given(OPAQUE, POSITIVE)
@example(("//", "n", ("*", 2, "m")), dict.fromkeys(ATOMS, 5))
@example(("//", "n", ("*", "n", "m")), dict.fromkeys(ATOMS, 5))
@example(("//", "n", ("*", -1, "m")), dict.fromkeys(ATOMS, 5))
@example(("-", 3, ("//", ("-", "n", 7), 2)), dict.fromkeys(ATOMS, 5))
@example(("-", 0, ("*", 2, ("*", "n", "n"))), dict.fromkeys(ATOMS, 5))
@example(("min", ("-", "n", "m"), ("-", "k", 2)), dict.fromkeys(ATOMS, 5))
def test_text_means_the_polynomial(expression: object, values: dict[Atom, int]) -> None:
    poly = poly_of(expression)
    names = {a if isinstance(a, str) else NAMES[a]: v for a, v in values.items()}
    text = poly.render(lambda i: NAMES[i])
    assert eval(text, {"__builtins__": {}, "min": min, "max": max}, names) == poly.evaluate(values)


@pytest.mark.parametrize(
    ("poly", "text"),
    [
        (Poly(()), "0"),
        (Poly.const(-2), "-2"),
        (N, "n"),
        (-N, "-n"),
        (N - M, "n - m"),
        (M * N * Poly.const(3) + ONE, "3*m*n + 1"),
        (ONE - N * Poly.const(2), "1 - 2*n"),
        (floor_div(N, Poly.const(2)), "(n//2)"),
        (floor_div(N + ONE, Poly.const(2)), "((n + 1)//2)"),
        (minimum(N, M), "min(n, m)"),
        (Poly.atom(I) + ONE, "[n] + 1"),
    ],
)
def test_text(poly: Poly, text: str) -> None:
    assert str(poly) == text


def test_text_of_indices() -> None:
    assert (str(I), str(I2), str(J)) == ("[n]", "[n]1", "[[n] + 1]")


START = Index(N + ONE, 0)


def start(at: Poly) -> Poly:
    return Poly.atom(Entry("start", (START,), (at,)))


ROW = start(Poly.atom(I) + ONE) - start(Poly.atom(I))


def test_elements_of_inputs() -> None:
    assert ROW.render(NAMES.__getitem__) == "start[i + 1] - start[i]"
    assert ROW.evaluate({I: 1, "start": np.array([0, 2, 7])}) == 5
    assert ROW.length({I: 0, "start": np.array([5, 2])}) == 0
    assert ROW.indices == {I}
    assert ROW.dims == {"n"}
    assert "n" not in ROW.atoms
    assert {e.name for e in start(ROW).entries} == {"start"}
    assert len(start(ROW).entries) == 3
    assert Index(ROW, 0).closure == {I, Index(ROW, 0)}
    scalar = Poly.atom(Entry("k", (), ()))
    assert (str(scalar), scalar.evaluate({"k": 4}), scalar.bounding()) == ("k", 4, scalar)
    with pytest.raises(IndexError):
        start(Poly.const(-1)).evaluate({"start": np.array([1, 2])})


def test_bounds_of_lengths_that_inputs_tell() -> None:
    assert not ROW.has_bound
    with pytest.raises(ValueError, match="no bound"):
        ROW.bounding()
    clipped = minimum(maximum(wrapped(start(Poly.atom(I) + ONE), M), Poly(())), M)
    low = minimum(maximum(wrapped(start(Poly.atom(I)), M), Poly(())), M)
    assert (clipped - low).bounding() == M
    assert low.is_nonnegative()
    assert (M - clipped).is_nonnegative()
    inside = Poly.atom(Index(clipped - low, 0)) + low
    assert inside.is_nonnegative()
    assert (M - ONE - inside).is_nonnegative()
    assert not (M - Poly.const(2) - inside).is_nonnegative()
    assert not ROW.is_nonnegative()


@settings(max_examples=300)
@given(OPAQUE)
@example(("-", ("min", ("+", I, 2), "n"), ("max", J, 1)))
@example(("//", ("-", 3, I), ("*", 2, "n")))
def test_a_bound_is_one(expression: object) -> None:
    poly = poly_of(expression)
    if poly.has_bound:
        for values in points(poly.atoms, 3 if len(poly.dims) > 1 else 6):
            try:
                assert poly.evaluate(values) <= poly.bounding().evaluate(values), f"{poly} at {values}"
            except ZeroDivisionError:
                continue


NONNEGATIVE_TRAPS = [
    ("*", "n", ("-", "m", 1)),
    ("-", ("-", "n", I), J),
    ("-", ("*", "n", "n"), ("*", I, I2)),
    ("*", I, ("-", "n", 2)),
    ("*", I, ("//", ("-", "n", 5), 2)),
    ("*", I, ("min", ("-", "n", 5), "m")),
    ("//", ("-", "n", 5), 2),
    ("-", ("*", I, L), ("*", J, "n")),
    ("-", ("-", "n", 1), ("%", ("*", 7, I), "n")),
    ("-", ("-", "n", 1), ("%", ("*", 7, I2), "m")),
    ("-", ("wrap", ("-", I, 2), "n"), 0),
    ("%", ("-", "n", 5), ("-", "m", 2)),
]


@settings(max_examples=300)
@given(OPAQUE)
def test_a_proof_of_sign_is_right(expression: object) -> None:
    check_sign(poly_of(expression))


@pytest.mark.parametrize("expression", NONNEGATIVE_TRAPS)
def test_a_proof_of_sign_is_right_in_traps(expression: object) -> None:
    check_sign(poly_of(expression))


def check_sign(poly: Poly) -> None:
    if poly.is_nonnegative():
        for values in points(poly.atoms, 4 if len(poly.dims) > 1 else 7):
            try:
                assert poly.evaluate(values) >= 0, f"{poly} at {values}"
            except ZeroDivisionError:
                continue


@pytest.mark.parametrize(
    "poly",
    [
        Poly(()),
        N,
        N * M + Poly.const(2),
        Poly.atom(I),
        N - Poly.atom(I) - ONE,
        Poly.atom(I) - Poly.atom(J),
        N - Poly.atom(I) - Poly.atom(L) - ONE,
        N - Poly.atom(P) - ONE,
        N - ONE - Poly.atom(Term("%", (Poly.atom(I) * Poly.const(7), N))),
        Poly.atom(Term("%", (Poly.atom(I) - Poly.const(5), N))),
        N - ONE - floor_div(Poly.atom(I), Poly.const(2)),
        N - minimum(N, M),
        maximum(N - M, Poly(())),
    ],
)
def test_signs_that_are_proved(poly: Poly) -> None:
    assert poly.is_nonnegative()


@pytest.mark.parametrize("poly", [Poly.const(-1), N - ONE, N - M, Poly.atom(I) - ONE, Poly.atom(J) - Poly.atom(I)])
def test_signs_that_are_not(poly: Poly) -> None:
    assert not poly.is_nonnegative()


def test_floor_div_simplifies() -> None:
    assert floor_div(Poly.const(-7), Poly.const(2)) == Poly.const(-4)
    assert floor_div(N, ONE) == N
    assert floor_div(N * Poly.const(6) - Poly.const(4), Poly.const(2)) == N * Poly.const(3) - Poly.const(2)
    assert floor_div(N * Poly.const(6), Poly.const(-2)) == N * Poly.const(-3)
    assert floor_div(N + ONE, Poly.const(2)) == Poly.atom(Term("//", (N + ONE, Poly.const(2))))
    assert floor_div(N, M) == Poly.atom(Term("//", (N, M)))


def test_floor_div_by_zero_is_zero() -> None:
    assert floor_div(ONE, Poly(())).evaluate({}) == 0
    assert floor_div(ONE, N).evaluate({"n": 0}) == 0
    assert eval(floor_div(ONE, N).render(str), {"n": 0}) == 0


def test_minimum_and_maximum_simplify() -> None:
    assert minimum(N, N + ONE) == N
    assert minimum(N + ONE, N) == N
    assert maximum(N, N + ONE) == N + ONE
    assert maximum(N + ONE, N) == N + ONE
    assert maximum(Poly.atom(I), Poly.atom(J)) == Poly.atom(I)
    assert minimum(Poly.const(3), Poly.const(-3)) == Poly.const(-3)
    assert minimum(N, M) == Poly.atom(Term("min", (N, M)))
    assert maximum(N, M) == Poly.atom(Term("max", (N, M)))


MANY = (*INDICES, Index(M, 0), Index(N * M, 0), Index(Poly.atom(P) + Poly.atom(L), 0), Index(Poly.const(12), 3))


@given(st.sets(st.sampled_from(MANY)), st.randoms())
def test_order_of_indices(indices: set[Index], random: object) -> None:
    shuffled = list(indices)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ordered = in_order(shuffled)
    assert ordered == in_order(sorted(shuffled, key=id))
    assert set(ordered) == indices
    assert len(ordered) == len(indices)
    for k, i in enumerate(ordered):
        assert not (i.closure - {i}) & set(ordered[k:])


def test_order_of_subsets_agrees() -> None:
    rank = {i: k for k, i in enumerate(in_order(MANY))}
    for some in itertools.combinations(MANY, 3):
        assert [rank[i] for i in in_order(some)] == sorted(rank[i] for i in some)


def test_evaluate_counts_a_triangle() -> None:
    corner = floor_div(N * (N + ONE), Poly.const(2))
    for n in range(6):
        assert corner.evaluate({"n": n}) == math.comb(n + 1, 2)
        assert sum(J.extent.length({"n": n, I: i}) for i in range(n)) == math.comb(n + 1, 2)
