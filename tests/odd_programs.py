"""Programs of things in places where they hardly belong: every function called with all sorts of arguments."""

from __future__ import annotations

from random import Random

from gradc.lower.calls import ALL_FUNCTIONS

DECLARATIONS = "x: param[n]\nA: param[n, n]\nB: param[n, m, 2]\nt: index[n]\nu: data[m]\na: param\n"
ODD = (
    *("None", "True", "'ij'", "''", "'fro'", "f'{x}'", "1j", "b's'", "...", "{}", "sum", "np.sum", "lambda v: v", "i"),
    *("-1", "0", "1", "2", "7", "2.5", "nan", "inf", "1e400", "10**30", "-10**30", "9**99", "2**63", "-2**63"),
    *("n", "-n", "n*m", "n//2", "x.size", "A.shape[0]", "float(n)", "int(a)", "argmax(x)", "t[0]", "a", "a > 0"),
    *("()", "[]", "(0,)", "(0, 0)", "(1, 0)", "(None,)", "((),)", "[[]]", "(n, m)", "(n, -1)", "x.shape", "(t, t)"),
    *("x", "A", "B", "t", "u", "[x, x]", "[x, A]", "(x, x)", "[t, t]", "[[x[0]], [1, 2]]", "[a > 0, True]"),
    *("x.T", "x[1:]", "x[::2]", "x[1:1]", "x[:0]", "x[None]", "x[...]", "x[t]", "A[0]", "A[t, 0]", "A[:, None]"),
    *("x > 0", "not a", "x*0", "x @ A", "A @ A", "x[0] if a > 0 else 1", "range(3)", "zip(x, x)", "enumerate(x)"),
    *("[k for k in range(3)]", "(k for k in range(n))"),
)
PLAIN = ("x", "A", "a", "t", "0", "1", "n")
FUNCTIONS = sorted(ALL_FUNCTIONS)
MODULES = ("", "", "np.", "math.", "np.linalg.", "scipy.special.")
KEYWORDS = (
    *("axis", "axes", "keepdims", "k", "offset", "ddof", "decimals", "shape", "ord", "num", "classes", "endpoint"),
    *("lo", "hi", "a_min", "a_max", "fill_value", "dtype", "out", "where", "initial", "rows", "columns", "N", "a", "x"),
)
OPERATORS = ("+", "*", "/", "//", "%", "**", "@", "<", "==", "and", "in", "is", "&", ">>")


def odd_program(random: Random) -> str:
    """The text of one; few are legal."""
    value, odd = _expression(random), _odd(random)
    bodies = (
        f"sum(({value})*x[0])",
        value,
        f"v = {value}\nw = {_expression(random).replace('x', 'v')}\nsum(w*x[0])",
        f"y: {random.choice(('param', 'data', 'index'))}[{odd}] = {_odd(random)}\nsum(y*x[0])",
        f"def f(p, q={odd}):\n    v = {value.replace('x', 'p')}\n    return v\nsum(f({_odd(random)})*x[0])",
        f"v = {odd}\nif {_odd(random)}:\n    v = {value}\nelse:\n    v = {_odd(random)}\nsum(v*x[0])",
        f"v, w = {value}\nsum(v*x[0])",
        f"v = {odd}\nv {random.choice(('+=', '*=', '/=', '@=', '**='))} {value}\nsum(v*x[0])",
    )
    (body,) = random.choices(bodies, (9, 3, 3, 1, 1, 1, 1, 1))
    return f"{DECLARATIONS}{body}\n"


def _odd(random: Random) -> str:
    return random.choice(ODD if random.random() < 0.55 else PLAIN)


def _expression(random: Random) -> str:
    o = [_odd(random) for _ in range(4)]
    others = (
        f"{o[0]}[{', '.join(o[1 : random.randint(2, 4)])}]",
        f"{o[0]}[{o[1]}:{o[2]}:{o[3]}]",
        f"{o[0]} {random.choice(OPERATORS)} {o[1]}",
        f"{o[0]} if {o[1]} else {o[2]}",
        f"[{o[0]} for i in {o[1]}]",
        f"sum({o[0]} for i in range({o[1]}, {o[2]}) if {o[3]})",
        f"[{o[0]} for i, j in {random.choice(('zip', 'enumerate'))}({o[1]}, {o[2]})]",
    )
    return _call(random) if random.random() < 0.6 else random.choice(others)


def _call(random: Random) -> str:
    arguments = [_odd(random) for _ in range(random.choice((0, 1, 1, 1, 2, 2, 2, 3, 4)))]
    arguments += [f"{random.choice(KEYWORDS)}={_odd(random)}" for _ in range(random.choice((0, 0, 0, 1, 1, 2)))]
    return f"{random.choice(MODULES)}{random.choice(FUNCTIONS)}({', '.join(arguments)})"
