"""What random programs have found, each as its smallest program: value and gradient, generated code and differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from random_programs import Program
from test_random_derivatives import check as check_second
from test_random_programs import check

import gradc

PROGRAMS = {
    "rows of data that there are fewer of than turns of the loop": """
b: param[n, n]
c: param[n, n, n]
at1: index[n]
at2: index[n]
sum((1/concatenate([[b for e in range(n)], c], axis=1))[at1, :, at2])
""",
    "the diagonal of a sum of what is put together": """
a: param[2, 3, 2]
b: param[2, 3, 1]
trace(einsum('zab->ab', concatenate([a, b], axis=2)))
""",
    "softmax of what is put together along another axis": """
c: param[2, n, d]
f: param[d, n]
sum(softmax(concatenate([c[:, :, 0], f], axis=-2))[:, 0]**2)
""",
    "a gather along an axis that the value does not have": """
p: param[2]
at1: index[3, 1]
at2: index[3]
sum([p for l in range(2)][at1, at2]*p[0])
""",
    "a gather of what is computed along an axis that it does not have": """
p: param
r: param[2]
at1: index[3, 1]
at2: index[3]
sum([p*r*r for l in range(2)][at1, at2])
""",
    "a condition of a loop that reads a sum at other places": """
m: param[n, n]
sum(log_softmax(m @ tril(m @ m, 1), axis=-2)**2)
""",
    "running sums of what is put together along another axis": """
q: data[n, d]
y: param[n, d]
z: param[2*d, 2]
mean((cumsum(concatenate([q, y], axis=1), axis=0) @ z)**2)
""",
    "the factors of a matrix that is solved with in one arm": """
a: param
b: param[n]
r: param[n, n]
if a > 9:
    u = b
else:
    u = solve(r, b @ r)
mean(u*u)
""",
    "the same where the arm is not taken": """
a: param
b: param[n]
r: param[n, n]
if a < 9:
    u = b*a
else:
    u = solve(r, b @ r)
mean(u*u)
""",
    "the largest of what is put together, over one class and without another": """
t: param[d, 1]
p: param[d]
at1: index[d]
dot(cross_entropy_with_logits(concatenate([full((d, 2), 2.0), t], axis=1), at1), p)
""",
    "an array that is computed again for each row of one sweep, and read whole in others": """
x: param[n, n]
at1: index[n]
m = softmax(x[at1], axis=0)
sum((m.T + x)*m)
""",
    "a condition that says nothing, on what it is made of": """
x1: param[6, m]
x3: param[m + m - 1, 6]
v3 = concatenate([x1, x1[:, 1:]], axis=1).T
v4 = concatenate([v3[:, 1:], x3, v3], axis=1)
v6 = concatenate([v4, v4[1:], v4[1:]], axis=0)
sum(tanh(reshape(log_softmax(v6, axis=0), (17*(6*m - 5),))))
""",
    "a part of an array under conditions that are made of it": """
c: param[n]
g: param[2, n, n]
h: param[1, n, n]
m: param[3, n, n]
at1: index
v1 = (m/concatenate([g, h]) if abs(concatenate([g, h])) > 0.3 else concatenate([g, h]))[at1 + 1]
if 1 > c[0]:
    return c[0]
1 + sum(v1)
""",
    "a gather along an axis that the value does not have, as long as another one of it": """
y: param[d, n]
at1: index[n, 1]
at2: index[2]
sum([y*y for k in range(d)][at1, at2])
""",
    "an element of what is put together that decides whether it is used": """
a: param[1]
b: param
w = 1 if min(concatenate([zeros(2), a])) > 0 else b
u = w if (w if b > 0 else 1) > 0 else 1
u*b
""",
    "values stored where a condition holds, added up where it does not": """
x: param[d]
y: data[n]
w: param[n]
v = [sum(w*prod(p + w[j] for p in x if w[j] > 0) for j in range(n - 1, i, -1)) for i in range(n)]
sum(w[j] for j in range(0, n, 2)) + sum(v)
""",
    "a factor for each turn of a loop around an empty range": """
val: param[d]
A: param[n, m]
k: index
u = [sum(sum(val[j:j]) - A for j in range(k, n)) for i in range(n)]
sum(softmax(u))
""",
    "an array that is the same for all rows, computed in one sweep and read in another": """
val: param[d]
x: param[d]
start: index[n]
u = [prod(sum(x[j] for p, (t, z) in enumerate(zip(x, x)) if t > 0) for j in range(start[i], 1)) for i in range(n)]
sum(val[j] for i in range(0, n, 2) for j in range(i, start[i])) + sum(u)
""",
    "an array that is emptied in a loop that is skipped, and read all the same": """
q: param
u: param[2, n]
x: param[n, n, n]
k: index[n]
y: param[d, n, d]
at1: index[m]
at2: index[m]
a: param[m, d]
b: param[m]
sum(cross_entropy(softmax(a), softmax(log(y)[at1, at2])) if q > 9 else b)
""",
    "a read under a condition that moves to an index of the name of its axis": """
f: data[n, n, d]
g: data[n, d, d]
h: param[n+d, d]
k: index
sum(bce_with_logits(concatenate([f, g], axis=1), h)[k])
""",
    "a number that is read under a condition, in an arm that is taken": """
s: param[n]
k: index
u: param
v = [u for e in [s for i in range(n)]][k]
u if u or v else v
""",
    "a value computed in one part of a loop that is split, and again behind where the other part reads it": """
a: param[2*n, n - 1]
b: param[n - 1, n]
sum(max(sum(a for k in range(3) if j) for j in range(n)) @ b)
""",
    "positions in a range, beside an array that may be of another length": """
x: param[d]
t: index[d]
sum(where(x > 0, [k for k in range(3)], t)*x)
""",
    "contributions to one place of which two are together what a third one is": """
x: param[n]
x[0] + sum(x + (x + x) + x)
""",
    "the same of what is gathered": """
x: param[n]
t: index[n]
sum(x[i] + x[t[i]] + (x[i] + x[i]) + x[i] for i in range(n))
""",
    "a read in an arm that is taken by what it reads and by another index": """
x: param[n]
w: param
sum((x[i-1] if i > 0 and w > j - 2 else 0.0) for i in range(n) for j in range(n))
""",
    "the same with an input along the other index": """
x: param[n]
q: index[n]
sum((x[i-1]**2 if i > 0 and q[j] == 0 and x[i-1] > 0 else 0.0) for i in range(n) for j in range(n))
""",
    "the same with a condition of two of which either does": """
x: param[n]
w: param
sum((x[i-1]**2 if i > 0 and (w > j - 2 or x[i] > 0) else 0.0) for i in range(n) for j in range(n))
""",
    "what is on a diagonal, but neither on it nor below": """
x: param[n, n]
sum(sum(0.0 if j <= i else (x[i, j] if i == j else 0.0) for j in range(n)) for i in range(n)) + x[0, 0]
""",
    "a read in an arm along its own index, inside of an arm along another": """
x: param[n]
w: param
sum((w if i > 0 else sum((x[j+1] if j < n-1 else x[i]) for j in range(n))) for i in range(n))
""",
    "what is 0 where an arm is taken, in that arm": """
x: param
c: param
(0.0 if c < 10 else x)*exp(x) if c < 10 and c > -10 else 0.0
""",
}
SIZES = {"n": 4, "d": 3, "m": 1}


def with_inputs(text: str) -> Program:
    random, inputs = np.random.default_rng(3), {}
    for i in gradc.compile(text, backend="python", cache=False).signature:
        shape = tuple(eval(str(length), {}, dict(SIZES)) for length in i.shape)
        value: Any = random.integers(0, 2, shape) if i.kind == "index" else random.normal(size=shape)
        inputs[i.name] = value if shape else int(value) if i.kind == "index" else float(value)
    dims = {dim: size for dim, size in SIZES.items() if f"[{dim}" in text or f", {dim}" in text}
    return Program(text.strip(), inputs, dims, True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_found(name: str) -> None:
    program = with_inputs(PROGRAMS[name])
    check(program)
    report = gradc.compile(program.text, backend="python", cache=False).check(**program.inputs)
    assert report.ok, f"{report}\n\n{program}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_second_derivatives(name: str) -> None:
    check_second(with_inputs(PROGRAMS[name]))
