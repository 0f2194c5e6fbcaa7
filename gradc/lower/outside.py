"""What is not part of the language: why, and what to write instead. Pure data."""

from __future__ import annotations

import ast
import re

ARRAYS = "values are numbers and arrays"
WITHOUT = "functions are there without one: exp(x)"
NOTHING_RAISES = "nothing raises: 1/0 is inf, log(-1) is nan"
NO_LOOP = "there is no loop statement to leave"
ASYNC = ("async is not part of the language: a program is one computation", "write def, without await")
SCOPES = "helpers see the names outside of them, and return what they make"
Refusal = tuple[str, str | None]

STATEMENTS: dict[type[ast.stmt], Refusal] = {
    ast.For: ("`for` statements are not supported yet", "write a comprehension: sum(... for i in range(n))"),
    ast.While: ("`while` statements are not supported yet", "write a fixed number of steps out, in a helper"),
    ast.Import: ("imports are not part of the language: a program is complete", WITHOUT),
    ast.ImportFrom: ("imports are not part of the language: a program is complete", WITHOUT),
    ast.ClassDef: (f"classes are not part of the language: {ARRAYS}", "use arrays and `def` helpers"),
    ast.AsyncFunctionDef: ASYNC,
    ast.AsyncFor: ASYNC,
    ast.AsyncWith: ASYNC,
    ast.With: ("`with` is not part of the language: there is nothing to open or close", "write the statements alone"),
    ast.Try: (f"`try` is not part of the language: {NOTHING_RAISES}", "choose: log(x) if x > 0 else 0"),
    ast.TryStar: (f"`try` is not part of the language: {NOTHING_RAISES}", "choose: log(x) if x > 0 else 0"),
    ast.Raise: (f"`raise` is not part of the language: {NOTHING_RAISES}", "return inf there: a minimiser stays away"),
    ast.Assert: ("`assert` is not part of the language: nothing is checked on the way", "check inputs before the call"),
    ast.Delete: ("`del` is not part of the language: a name is a value, not memory", "names may be assigned again"),
    ast.Global: ("`global` is not part of the language: no helper changes what is outside", SCOPES),
    ast.Nonlocal: ("`nonlocal` is not part of the language: no helper changes what is outside", SCOPES),
    ast.Match: (f"`match` is not part of the language: {ARRAYS}", "use if, elif and else"),
    ast.Break: (f"`break` is not part of the language: {NO_LOOP}", "filter: sum(v for v in x if v > 0)"),
    ast.Continue: (f"`continue` is not part of the language: {NO_LOOP}", "filter: sum(v for v in x if v > 0)"),
}
"""Statements by their class."""

EXPRESSIONS: dict[type[ast.expr], Refusal] = {
    ast.Lambda: ("lambda is not part of the language: functions are no values", "write: def f(x): return x**2"),
    ast.Dict: (f"a dictionary is not part of the language: {ARRAYS}", "give each entry a name"),
    ast.DictComp: (f"a dictionary comprehension is not part of the language: {ARRAYS}", "write a list"),
    ast.Set: (f"a set is not part of the language: {ARRAYS}", "a list makes an array: [a, b]"),
    ast.SetComp: (f"a set comprehension is not part of the language: {ARRAYS}", "write a list"),
    ast.GeneratorExp: (
        f"a generator alone is not part of the language: {ARRAYS}",
        "reduce it, sum(... for i in range(n)), or make an array, [... for i in range(n)]",
    ),
    ast.JoinedStr: (f"a string is not part of the language: {ARRAYS}", "a comment starts with #"),
    ast.Await: ASYNC,
    ast.Yield: ("yield is not part of the language: a function has one result", "return an array: [a, b]"),
    ast.YieldFrom: ("yield is not part of the language: a function has one result", "return an array: [a, b]"),
    ast.NamedExpr: (":= is not part of the language: expressions assign nothing", "assign on a line of its own"),
    ast.Starred: ("* is not part of the language here: arrays are not unpacked", "write concatenate([x, y])"),
    ast.Tuple: (f"a tuple is not part of the language: {ARRAYS}", "a list makes an array: [a, b]"),
}
"""Expressions by their class."""

LITERALS: dict[type, Refusal] = {
    str: (f"a string is not part of the language: {ARRAYS}", "expected a number; a comment starts with #"),
    bytes: (f"bytes are not part of the language: {ARRAYS}", "expected a number"),
    complex: ("complex numbers are not part of the language: values are real", "expected a real number"),
    type(None): ("None is not a value of the language", "it stands in subscripts, x[:, None], and for an axis"),
    type(...): ("... is not a value of the language", "it stands in subscripts: x[..., 0]"),
}
"""Literals that are no numbers, by the class of what they stand for."""

TARGETS: dict[type[ast.expr], Refusal] = {
    ast.Starred: ("* is not part of the language: how many values there are is known", "write a slice: rest = x[1:]"),
    ast.Subscript: (
        "elements of arrays cannot be assigned",
        "make the whole array: [... for i in range(n)], or where(condition, new, old)",
    ),
    ast.Attribute: ("attributes cannot be assigned", "write: name = expression"),
}
"""What stands on the left of an assignment, by its class."""

ATTRIBUTES: dict[str, str] = {
    "shape": "write x.shape[0]",
    "size": "write len(x), or x.shape[0]*x.shape[1]",
    "ndim": "the declaration says how many axes there are",
    "dtype": "what `param` and `data` hold are floats, what `index` holds are integers",
    "real": "values are real: leave it out",
    "flat": "write ravel(x)",
    "mT": "write x.T, or transpose(x, (0, 2, 1))",
}
"""Attributes of arrays, and what to write for them."""

METHODS: dict[str, str] = {
    "T": "write x.T",
    "append": "arrays do not grow: write a list, [... for i in range(n)], or concatenate([x, y])",
    "astype": "write float(x) or int(x)",
    "copy": "values never change: leave it out",
    "detach": "write stop_gradient(x)",
    "flatten": "write ravel(x)",
    "item": "leave it out",
    "numpy": "leave it out",
    "tolist": "leave it out",
}
"""Methods that are no functions of the language, and what to write for them."""

NUMBERS: dict[str, str] = {
    "newaxis": "it stands in subscripts: x[:, None]",
    "nan": "there is no name for it: inf - inf is nan",
    "NaN": "there is no name for it: inf - inf is nan",
    "tau": "write 2*pi",
    "euler_gamma": "write -digamma(1)",
    "infty": "write inf",
    "Inf": "write inf",
}
"""Constants of other libraries."""

INSTEAD: dict[str, str] = {
    "add": "x + y",
    "subtract": "x - y",
    "multiply": "x*y",
    "divide": "x/y",
    "true_divide": "x/y",
    "negative": "-x",
    "mod": "x % y",
    "remainder": "x % y",
    "fmod": "x - y*int(x/y)",
    "floor_divide": "x//y",
    "greater": "x > y",
    "less": "x < y",
    "equal": "x == y",
    "logical_and": "x > 0 and y > 0",
    "logical_or": "x > 0 or y > 0",
    "logical_not": "not x > 0",
    "isnan": "x != x",
    "heaviside": "step(x)",
    "sinc": "1 if x == 0 else sin(pi*x)/(pi*x)",
    "deg2rad": "x*(pi/180)",
    "radians": "x*(pi/180)",
    "degrees": "x*(180/pi)",
    "beta": "exp(lgamma(x) + lgamma(y) - lgamma(x + y))",
    "gamma": "exp(lgamma(x))",
    "xlogy": "x*log(y) if x != 0 else 0",
    "logit": "log(x) - log1p(-x)",
    "diff": "x[1:] - x[:-1]",
    "flip": "x[::-1]",
    "reversed": "x[::-1]",
    "roll": "concatenate([x[-1:], x[:-1]])",
    "average": "sum(x*y)/sum(y)",
    "ptp": "max(x) - min(x)",
    "fsum": "sum(x)",
    "count_nonzero": "sum(1.0 if x != 0 else 0)",
    "cumprod": "[prod(x[:i + 1]) for i in range(len(x))]",
    "trapezoid": "sum((x[1:] - x[:-1])*(y[1:] + y[:-1]))/2",
    "cov": "[[mean((u - mean(u))*(v - mean(v))) for v in A.T] for u in A.T]",
    "zeros_like": "zeros(x.shape)",
    "ones_like": "ones(x.shape)",
    "full_like": "full(x.shape, 1.0)",
    "empty": "zeros(n)",
    "identity": "eye(n)",
    "squeeze": "A[:, 0]",
    "expand_dims": "x[:, None]",
    "swapaxes": "A.T",
    "vstack": "concatenate([A, B], axis=0)",
    "hstack": "concatenate([A, B], axis=1)",
    "column_stack": "stack([x, y], axis=1)",
    "tile": "concatenate([x, x])",
    "repeat": "[x[i//2] for i in range(2*n)]",
    "inner": "sum(x*y)",
    "vdot": "sum(x*y)",
    "tensordot": "einsum('ij,jk->ik', A, B)",
    "kron": "outer(x, y)",
    "slogdet": "logdet(A)",
    "pinv": "solve(A.T @ A, A.T)",
    "lstsq": "solve(A.T @ A, A.T @ y)",
    "mse": "mean((x - y)**2)",
    "map": "[f(v) for v in x]",
    "filter": "sum(v for v in x if v > 0)",
    "list": "[v for v in x]",
    "tuple": "[v for v in x]",
    "bool": "x != 0",
    "float64": "float(x)",
    "float32": "float(x)",
    "int64": "int(x)",
    "range": "arange(n)",
}
"""Functions of other libraries, and expressions that do what they do."""

WORDS: dict[str, str] = {
    "print": "nothing runs line by line: make what you want to see the result",
    "open": "data are inputs: declare them",
    "input": "data are inputs: declare them",
    "zip": "it stands in comprehensions: sum(a*b for a, b in zip(x, y))",
    "enumerate": "it stands in comprehensions: sum(i*a for i, a in enumerate(x))",
    "isinstance": "a declaration says what an input is",
    "type": "a declaration says what an input is",
    "str": ARRAYS,
    "dict": ARRAYS,
    "set": ARRAYS,
    "complex": "values are real",
    "sorted": "sort the data before the call",
    "sort": "sort the data before the call",
    "argsort": "sort the data before the call, and give the order as an `index` array",
    "unique": "find them before the call, and give an `index` array",
    "median": "compute it before the call, where it is of data",
    "quantile": "compute it before the call, where it is of data",
    "percentile": "compute it before the call, where it is of data",
    "random": "draw numbers before the call: declare them as `data`",
    "normal": "draw numbers before the call: declare them as `data`",
    "randn": "draw numbers before the call: declare them as `data`",
    "rand": "draw numbers before the call: declare them as `data`",
    "uniform": "draw numbers before the call: declare them as `data`",
    "svd": "linear algebra is solve, inv, det, logdet and cholesky",
    "eig": "linear algebra is solve, inv, det, logdet and cholesky",
    "eigh": "linear algebra is solve, inv, det, logdet and cholesky",
    "eigvalsh": "linear algebra is solve, inv, det, logdet and cholesky",
    "qr": "linear algebra is solve, inv, det, logdet and cholesky",
    "matrix_power": "write A @ A",
    "cho_factor": "write cholesky(A)",
    "cho_solve": "write solve(A, b)",
    "solve_triangular": "write solve(L, b)",
    "take": "write x[k]",
    "take_along_axis": "write A[arange(n), k]",
    "choose": "write where(c, x, y)",
    "select": "write x if c else y",
    "append": "write concatenate([x, y])",
    "moveaxis": "write transpose(x, (0, 2, 1))",
    "ndtr": "write erfc(-x/sqrt(2))/2",
    "backward": "the gradient is made for you: call value_and_grad",
}
"""Functions that nothing in the language does the work of, and what to do."""

SIGNS: list[tuple[str, str]] = [
    (r"\+\+", "write x = x + 1"),
    (r"--\s*$", "write x = x - 1"),
    ("&&", "write: and"),
    (r"\|\|", "write: or"),
    (r"!(?!=)", "write: not"),
    (r"\?", "write: a if c else b"),
    (r"\bthen\b", "write: a if c else b"),
    (r"^\s*(let|var|const|double|float|int)\s", "an assignment is: name = expression"),
    ("[\u2212\u2013\u2014]", "write -"),
    ("[\u00d7\u00b7\u22c5]", "write *"),
    ("[\u2018\u2019\u201c\u201d]", "write plain quotes"),
    ("[\u00b2\u00b3]", "a power is **"),
    (r"\b\d+[A-Za-df-z_]", "write * between factors: 2*x"),
    (r"\blambda\b", "lambda is a keyword of Python: call it lam"),
    (
        r"^\s*(in|is|as|or|and|not|class|def|del|for|from|global|if|import|pass|try|while|with)\s*[:=]",
        "{} is a keyword of Python: take another name",
    ),
]
"""What people write that is not Python, and what to write instead."""


def sign_hint(line: str) -> str | None:
    """What to write instead of a sign that Python does not have."""
    for pattern, hint in SIGNS:
        found = re.search(pattern, line)
        if found:
            return hint.format(*found.groups())
    return None


def function_hint(name: str) -> str | None:
    """What to write instead of a function that other libraries have."""
    return f"write {INSTEAD[name]}" if name in INSTEAD else WORDS.get(name)
