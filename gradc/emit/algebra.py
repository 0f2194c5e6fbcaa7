"""Linear algebra that generated modules carry, as the text says and as it runs uncompiled. It is copied into modules.

gradc calls LAPACK where it compiles. Where there is no result, what is divided by zero says so: nothing raises.
"""

from typing import Any

from numpy import absolute, arange, argmax, dot, float64, inf, log, nan, outer, sqrt


def lu(a: Any, out: Any) -> None:
    """out = L (its diagonal is 1) and U of a with rows exchanged; last: with which row each was"""
    n = len(a)
    out[:n] = a
    for k in range(n):
        pivot = k + argmax(absolute(out[k:n, k]))
        out[n, k] = pivot
        row = out[k].copy()
        out[k] = out[pivot]
        out[pivot] = row
        if out[k, k] != 0:
            out[k + 1 : n, k] /= out[k, k]
        out[k + 1 : n, k + 1 :] -= outer(out[k + 1 : n, k], out[k, k + 1 :])


def lu_solve(factors: Any, b: Any, out: Any) -> None:
    """out = the x of a @ x = b, by the factors of a"""
    n = factors.shape[1]
    x = b.copy()
    for k in range(n):
        pivot = int(factors[n, k])
        row = x[k : k + 1].copy()
        x[k : k + 1] = x[pivot : pivot + 1]
        x[pivot : pivot + 1] = row
    for k in range(n):
        x[k] -= dot(factors[k, :k], x[:k])
    solve_upper(factors[:n], x, out)


def lu_solve_transposed(factors: Any, b: Any, out: Any) -> None:
    """out = the x of a.T @ x = b, by the factors of a"""
    n = factors.shape[1]
    x = b.copy()
    solve_lower(factors[:n].T, b, x)
    for k in range(n - 1, -1, -1):
        x[k] -= dot(factors[k + 1 : n, k].copy(), x[k + 1 :])
    for k in range(n - 1, -1, -1):
        pivot = int(factors[n, k])
        row = x[k : k + 1].copy()
        x[k : k + 1] = x[pivot : pivot + 1]
        x[pivot : pivot + 1] = row
    out[...] = x


def lu_det(factors: Any) -> Any:
    """The determinant, by the factors: 0 if one of these is, even if the others overflow."""
    n = factors.shape[1]
    product, singular = float64(1.0), False
    for k in range(n):
        pivot = factors[k, k] if factors[n, k] == k else -factors[k, k]
        if pivot == 0:
            singular = True
        else:
            product *= pivot
    return float64(0.0) if singular and product == product else product


def lu_logdet(factors: Any) -> Any:
    """The logarithm of the determinant, by the factors: -inf if it is 0, NaN if it is negative."""
    n = factors.shape[1]
    total, positive = float64(0.0), True
    for k in range(n):
        total += log(abs(factors[k, k]))
        if (factors[k, k] < 0) != (factors[n, k] != k):
            positive = not positive
    return total if positive or total == -inf else total * nan


def solve_lower(a: Any, b: Any, out: Any) -> None:
    """out = the x of a @ x = b, of a only what is not above the diagonal"""
    x = b.copy()
    for k in range(len(a)):
        x[k] = (x[k] - dot(a[k, :k].copy(), x[:k])) / a[k, k]
    out[...] = x


def solve_upper(a: Any, b: Any, out: Any) -> None:
    """out = the x of a @ x = b, of a only what is not below the diagonal"""
    x = b.copy()
    for k in range(len(a) - 1, -1, -1):
        x[k] = (x[k] - dot(a[k, k + 1 :].copy(), x[k + 1 :])) / a[k, k]
    out[...] = x


def cholesky(a: Any, out: Any) -> None:
    """out = the lower triangular L of a = L @ L.T; NaN if a is not positive definite"""
    out[...] = 0.0
    for k in range(len(a)):
        out[k:, k] = a[k:, k] - dot(out[k:, :k].copy(), out[k, :k].copy())
        if not out[k, k] > 0:
            out[...] = nan
            return
        out[k:, k] /= sqrt(out[k, k])


def cofactors(a: Any, out: Any) -> None:
    """out = the cofactors of a, singular or not: those of L and U, rows and columns exchanged for the largest pivots"""
    n = len(a)
    if n < 2:
        out[...] = 1.0
        return
    u, rows, columns, sign = a.copy(), arange(n), arange(n), 1.0
    for k in range(n):
        largest = argmax(absolute(u[k:, k:]))
        p, q = k + largest // (n - k), k + largest % (n - k)
        if u[p, q] == 0 and k < n - 1:
            out[...] = 0.0
            return
        if p != k:
            row = u[k].copy()
            u[k] = u[p]
            u[p] = row
            rows[k], rows[p], sign = rows[p], rows[k], -sign
        if q != k:
            column = u[:, k].copy()
            u[:, k] = u[:, q]
            u[:, q] = column
            columns[k], columns[q], sign = columns[q], columns[k], -sign
        u[k + 1 :, k] /= u[k, k]
        u[k + 1 :, k + 1 :] -= outer(u[k + 1 :, k], u[k, k + 1 :])
    m = n - 1
    product = float64(sign)
    for k in range(m):
        product *= u[k, k]
    x = a.copy()
    x[...] = 0.0
    for k in range(m):
        x[k, k] = 1.0
    x[:m, m] = u[:m, m]
    for k in range(m - 1, -1, -1):
        x[k] = (x[k] - dot(u[k, k + 1 : m].copy(), x[k + 1 : m])) / u[k, k]
    # the transposed adjugate of U, then L.T y = that
    y = a.copy()
    determinant = u[m, m] * product if u[m, m] != 0 else float64(0.0)
    y[:m, :m] = determinant * x[:m, :m].T
    y[:m, m] = 0.0
    y[m, :m] = -product * x[:m, m]
    y[m, m] = product
    for k in range(m - 1, -1, -1):
        y[k] -= dot(u[k + 1 :, k].copy(), y[k + 1 :])
    for i in range(n):
        for j in range(n):
            out[rows[i], columns[j]] = y[i, j]


FUNCTIONS = (lu, lu_solve, lu_solve_transposed, lu_det, lu_logdet, solve_lower, solve_upper, cholesky, cofactors)
