"""Attempts to break what reads SymPy's expressions: names, numbers, and parts put together by hand."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import sympy
from sympy import Basic, IndexedBase, Integer, MatrixSymbol, S, Sum, Symbol, Tuple, symbols
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.factorizations import EigenValues
from sympy.matrices.expressions.fourier import DFT
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice
from sympy.matrices.expressions.special import GenericIdentity, GenericZeroMatrix
from sympy.stats import Normal

Make = Callable[[], Any]
RUN = "__import__('builtins').__dict__.update(executed=True)"
"""What must not be run."""

x, y = symbols("x y")
n, m, k = symbols("n m k", integer=True)
i, j = symbols("row column", integer=True)
w, v, s = IndexedBase("w"), IndexedBase("v"), IndexedBase("s", shape=(3,))
A, B, u = MatrixSymbol("A", n, n), MatrixSymbol("B", n, m), MatrixSymbol("u", n, 1)
rows = (i, 0, n - 1)

NO_NAMES = (
    *(RUN, f"x\n{RUN}", f"x\r{RUN}", f"x\x0c{RUN}", f"x\x85{RUN}", f"x\u2028{RUN}", f"x\\\n{RUN}", f"{{{RUN}}}"),
    *('"""', "'", "\\", "#", "x #", "{0}", "%s", "{{ x }}", "{% for %}", "</script>", "\0", "\ud800", "x\u202e", "$"),
    *("lambda", "None", "True", "is", "_x", "__builtins__", "__class__", "1", "1x", "x y", "", " ", "x;y", "x.y"),
    *("x[0]", "x()", "x=1", "x:=1", "*", "**", "->", "😀", "x{1}", "x_{", "out", "seed", "sparse", "x" * 100_000),
)
"""Names that no input can have."""
NAMES = (
    *("np", "numpy", "math", "i", "j", "float", "int", "range", "zeros", "nan", "self", "cls", "result", "z_bar"),
    *("chunk", "first", "last", "tile", "start", "stop", "value", "value_and_grad", "compiled", "njit", "errstate"),
    *("lambda_", "exp", "e", "pi", "inf", "empty", "float64", "x_bar", "print", "open", "é", "π", "你好", "ﬁ"),
    *(r"\alpha", "x_{1}", r"\beta_{i,j}", "E", "I", "S", "N", "O", "Sum", "oo", "sympy", "Symbol", "result_exp"),
)
"""Odd ones that inputs may have."""


def raw(kind: Any, *args: Any) -> Any:
    """A part that no constructor has looked at."""
    return Basic.__new__(kind, *args)


def nested(step: Callable[[Any], Any], times: int, start: Any = x) -> Any:
    for _ in range(times):
        start = step(start)
    return start


def containing_itself() -> Any:
    inner = sympy.Add(x, y, evaluate=False)
    outer = sympy.Mul(inner, 2, evaluate=False)
    inner._args = (outer, x)
    return inner


class Hooks:
    """Runs whatever is asked of it."""

    def _run(self, *args: Any) -> Any:
        vars(builtins)["executed"] = True
        raise RuntimeError

    _sympy_ = _sympystr = _latex = __str__ = __repr__ = __float__ = __int__ = _run
    __array__ = __index__ = __bool__ = __format__ = __add__ = __radd__ = __mul__ = __rmul__ = __eq__ = _run
    __hash__ = object.__hash__


class Text(str):
    """A text that is unpleasant to handle."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __format__ = __str__  # type: ignore[assignment]


class Endless(sympy.Expr):
    @property
    def args(self) -> tuple[Any, ...]:
        return (Endless(), Endless())


class Failing(sympy.Expr):
    @property
    def args(self) -> tuple[Any, ...]:
        raise RuntimeError


class Sine(sympy.sin):
    """Not the sine, in spite of its class."""

    @classmethod
    def eval(cls, arg: Any) -> Any:
        return None

    def _eval_evalf(self, prec: int) -> Any:
        vars(builtins)["executed"] = True
        return S.One


HUGE, TINY = Integer(10) ** 100_000, sympy.Rational(1, 10**100_000)
NUMBERS: dict[str, tuple[Any, float]] = {
    "nan": (S.NaN, float("nan")),
    "oo": (S.Infinity, float("inf")),
    "-oo": (S.NegativeInfinity, -float("inf")),
    "an integer of 100 000 digits": (HUGE, float("inf")),
    "a negative one": (-HUGE, -float("inf")),
    "a small fraction": (TINY, 0.0),
    "a fraction of large numbers": ((HUGE + 1) / (2 * HUGE), 0.5),
    "1000 digits": (sympy.Float("1." + "1" * 1000, 1000), 1.1111111111111112),
    "a large float": (sympy.Float("1e100000"), float("inf")),
    "a small float": (sympy.Float("1e-100000"), 0.0),
}
"""What numbers are worth."""
NO_NUMBERS = {"zoo": S.ComplexInfinity, "I": S.ImaginaryUnit, "1 + 2*I": 1 + 2 * sympy.I, "sqrt(-2)": sympy.sqrt(-2)}
NO_INTEGERS = {
    **{name: number for name, (number, _) in NUMBERS.items()},
    **NO_NUMBERS,
    "1/0": sympy.Pow(0, -1, evaluate=False),
    "a function": sympy.sin(x),
    "a truth": S.true,
    "a matrix": A,
    "a tuple": Tuple(i, j),
    "a sum": Sum(j, (j, 0, 3)),
    "2**62": Integer(2) ** 62,
}
"""No subscripts, bounds or lengths."""

REFUSED: dict[str, Make] = {
    # parts that no constructor makes
    **{f"{kind.__name__}()": lambda kind=kind: raw(kind) for kind in (  # type: ignore[misc]
        sympy.Pow, sympy.Add, sympy.Mul, sympy.sin, sympy.atan2, sympy.log, sympy.exp, Sum, sympy.Product,
        sympy.Indexed, MatrixElement, sympy.Trace, sympy.Determinant, sympy.Inverse, sympy.Transpose, sympy.MatMul,
        sympy.MatAdd,
        sympy.HadamardProduct, sympy.KroneckerProduct, sympy.BlockMatrix, sympy.BlockDiagMatrix, sympy.FunctionMatrix,
        sympy.DiagMatrix, sympy.DotProduct, sympy.Eq, sympy.Lt, sympy.And, sympy.Not, sympy.ITE, sympy.KroneckerDelta,
        sympy.polygamma, sympy.Max, MatrixSlice, ElementwiseApplyFunction, sympy.HadamardPower, sympy.Heaviside,
    )},
    **{f"{kind.__name__}(x)": lambda kind=kind: raw(kind, x) for kind in (  # type: ignore[misc]
        sympy.Pow, sympy.atan2, Sum, sympy.Product, sympy.Indexed, MatrixElement, sympy.Trace, sympy.Determinant,
        sympy.Inverse, sympy.Transpose, sympy.MatMul, sympy.MatAdd, sympy.HadamardProduct, sympy.KroneckerProduct,
        sympy.BlockMatrix, sympy.BlockDiagMatrix, sympy.FunctionMatrix, sympy.DiagMatrix, sympy.DiagonalOf,
        sympy.DotProduct, sympy.Eq, sympy.ITE, sympy.KroneckerDelta, sympy.polygamma, sympy.Piecewise, MatrixSlice,
        ElementwiseApplyFunction, sympy.HadamardPower,
    )},
    "sin(x, y)": lambda: raw(sympy.sin, x, y),
    "log(x, y)": lambda: raw(sympy.log, x, y),
    "an element of a number": lambda: raw(MatrixElement, x, i, j),
    "a subscript of a number": lambda: raw(sympy.Indexed, x, i),
    "a limit that is a symbol": lambda: raw(Sum, x, i),
    "a limit of nothing": lambda: raw(Sum, x, Tuple()),
    "a limit of a number": lambda: raw(Sum, x, Tuple(Integer(1), Integer(0), Integer(3))),
    "a limit without bounds": lambda: raw(Sum, w[i], Tuple(i)),
    "a limit of four": lambda: raw(Sum, x, Tuple(i, Integer(0), n, n)),
    "blocks of numbers": lambda: raw(sympy.BlockMatrix, sympy.ImmutableDenseMatrix([[x]])),
    "a formula without rows": lambda: raw(sympy.FunctionMatrix, n, n, sympy.Lambda(i, i)),
    "a formula with three axes": lambda: sympy.Trace(raw(sympy.FunctionMatrix, n, n, sympy.Lambda((i, j, k), i))),
    "a formula with a pair": lambda: sympy.Trace(raw(sympy.FunctionMatrix, n, n, sympy.Lambda(((i, j), k), i))),
    "a formula of a matrix": lambda: sympy.Trace(sympy.FunctionMatrix(n, n, sympy.Lambda((i, j), A))),
    "a slice of numbers": lambda: raw(sympy.Trace, raw(MatrixSlice, A, x, y)),
    "a slice with steps of 0": lambda: sympy.Trace(
        raw(MatrixSlice, A, Tuple(Integer(0), n, Integer(0)), Tuple(Integer(0), n, Integer(0)))
    ),
    "Python's numbers": lambda: raw(sympy.Add, 1, 2.0),
    "a text": lambda: raw(sympy.Add, x, RUN),
    "nothing": lambda: raw(sympy.Add, x, None),
    "an object": lambda: raw(sympy.Add, x, Hooks()),
    "itself": containing_itself,
    "endless": Endless,
    "failing": Failing,
    "within": lambda: raw(sympy.Add, x, Endless()),
    "another sine": lambda: Sine(x) + 1,
    # shapes that do not fit
    "an identity of no length": lambda: sympy.Trace(GenericIdentity()),
    "zeros of no length": lambda: GenericZeroMatrix(),
    "a sum of shapes": lambda: sympy.Trace(raw(sympy.MatAdd, A, B)),
    "a product of shapes": lambda: sympy.Trace(raw(sympy.MatMul, B, B)),
    "a trace of a rectangle": lambda: raw(sympy.Trace, B),
    "a determinant of a rectangle": lambda: raw(sympy.Determinant, B),
    "an inverse of a rectangle": lambda: sympy.Trace(raw(sympy.Inverse, B) * B),
    "a diagonal of a matrix": lambda: sympy.Trace(sympy.DiagMatrix(A)),
    "a function of a matrix": lambda: raw(sympy.sin, A),
    "the logarithm of a matrix": lambda: raw(sympy.log, A),
    "a matrix for each element": lambda: sympy.Trace(A.applyfunc(sympy.Lambda(x, A))),
    "one subscript of two": lambda: raw(sympy.Indexed, IndexedBase("z", shape=(3, 3)), Integer(0)),
    "one subscript, and two": lambda: Sum(w[i] + w[i, i], rows),
    "a negative length": lambda: IndexedBase("z", shape=(-3,))[0],
    "an empty array": lambda: IndexedBase("z", shape=(0,))[0],
    "a length from data": lambda: IndexedBase("z", shape=(IndexedBase("q", shape=(3,))[0],))[0],
    "two shapes": lambda: Sum(IndexedBase("z", shape=(n,))[i] * IndexedBase("z", shape=(m,))[i], rows),
    # names that are taken
    "two symbols": lambda: Symbol("x", positive=True) + x,
    "two dummies": lambda: sympy.Dummy("q") * sympy.Dummy("q"),
    "a dummy and a symbol": lambda: sympy.Dummy("x") * x,
    "a wild and a symbol": lambda: sympy.Wild("x") * x,
    "a matrix and a symbol": lambda: x * sympy.Trace(MatrixSymbol("x", 2, 2)),
    "an array and a symbol": lambda: x * IndexedBase("x", shape=(3,))[0],
    "a length and a symbol": lambda: Symbol("n") * Sum(w[i], rows),
    "the same after cleaning": lambda: Symbol("x_{1}") + Symbol("x_1"),
    "the same by Unicode": lambda: Symbol("ﬁ") + Symbol("fi"),
    # sums
    "an index in its own bound": lambda: Sum(w[i], (i, 0, i)),
    "an index in its own start": lambda: Sum(s[i], (i, i, 2)),
    "indices in each other's bounds": lambda: Sum(w[i] * v[j], (i, 0, j), (j, 0, i)),
    "an index outside": lambda: Sum(w[i], rows) + i,
    "infinite": lambda: Sum(x**i, (i, 0, sympy.oo)),
    "infinite on both sides": lambda: Sum(x**i, (i, -sympy.oo, sympy.oo)),
    "from below 0": lambda: Sum(w[i], (i, -5, n)),
    "to half an integer": lambda: Sum(w[i], (i, 0, n / 2)),
    "too far": lambda: Sum(x * i, (i, 0, 10**30)),
    "40 loops": lambda: Sum(w[i], rows, *[(Symbol(f"i{q}", integer=True), 0, n - 1) for q in range(40)]),
    "2000 sums": lambda: nested(lambda e: raw(Sum, e, Tuple(i, Integer(0), n - 1)), 2000, w[i]),
    "a subscript 2000 deep": lambda: nested(lambda e: raw(sympy.Indexed, v, e), 2000, i),
    # what is no number
    "a set": lambda: sympy.FiniteSet(x),
    "an interval": lambda: sympy.Interval(0, 1),
    "no set at all": lambda: S.EmptySet,
    "a tuple": lambda: Tuple(x, y),
    "an empty tuple": Tuple,
    "Basic": Basic,
    "a dictionary": lambda: sympy.Dict({x: 1}),
    "a polynomial": lambda: sympy.Poly(x**2 + 1),
    "an order": lambda: sympy.Order(x),
    "a function": lambda: sympy.Lambda(x, x**2),
    "the identity": lambda: sympy.Lambda(x, x),
    "an array": lambda: sympy.Array([x, y]),
    "a class": lambda: Symbol,
    "a class of functions": lambda: sympy.Function("f"),
    "the module": lambda: sympy,
    "an object with hooks": Hooks,
    "a derivative": lambda: sympy.Derivative(sympy.sin(x), x),
    "a substitution": lambda: sympy.Subs(sympy.sin(x), x, y),
    "a limit": lambda: sympy.Limit(sympy.sin(x) / x, x, 0),
    "a root": lambda: sympy.CRootOf(x**5 - x + 1, 0) * y,
    "an inverse function": lambda: sympy.LambertW(x),
    "a random variable": lambda: Normal("z", 0, 1) + x,
    "a quaternion": lambda: sympy.Quaternion(x, y, 0, 1),
    "a noncommuting symbol in a set": lambda: sympy.FiniteSet(Symbol("q", commutative=False)),
    "a matrix to half a power": lambda: sympy.Trace(A ** sympy.Rational(1, 2)),
    "a matrix to a power of 10**9": lambda: sympy.Trace(A ** (10**9)),
    "a permanent": lambda: sympy.Permanent(A),
    "eigenvalues": lambda: EigenValues(A),
    "a Fourier transform": lambda: sympy.Trace(DFT(3)),
}  # fmt: skip

DEEP: dict[str, Make] = {
    "sines": lambda: nested(lambda e: sympy.sin(e, evaluate=False), 10_000),
    "powers": lambda: nested(lambda e: sympy.Pow(e, 2, evaluate=False), 10_000),
    "minus": lambda: nested(lambda e: sympy.Mul(-1, e, evaluate=False), 10_000),
    "plus": lambda: nested(lambda e: sympy.Add(e, 1, evaluate=False), 10_000),
    "logarithms": lambda: nested(lambda e: sympy.log(e, evaluate=False), 10_000),
    "transposed": lambda: raw(sympy.Trace, nested(lambda e: raw(sympy.Transpose, e), 3000, A)),
    "sums of matrices": lambda: raw(sympy.Trace, nested(lambda e: raw(sympy.MatAdd, e, A), 1000, A)),
    "squares": lambda: sympy.log(nested(lambda e: sympy.Mul(e, e, evaluate=False), 5000), evaluate=False),
    "squares of determinants": lambda: sympy.log(
        nested(lambda e: sympy.Mul(e, e, evaluate=False), 5000, sympy.Determinant(A)), evaluate=False
    ),
    "doubled subscripts": lambda: s[nested(lambda e: sympy.Add(e, e, evaluate=False), 200, k)],
    "long subscripts": lambda: s[sympy.Add(*[k**q for q in range(1, 400)])],
    "many symbols": lambda: sympy.Add(*[Symbol(f"x{q}") for q in range(3000)]),
    "many arms": lambda: sympy.Piecewise(*[(x + q, y < q) for q in range(300)]),
}
"""Large, and no reason to take long."""
