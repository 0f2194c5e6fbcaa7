"""Functions on arrays that generated modules carry. Their text is copied into the module.

gradc runs these calls in its own way: chunks on threads, products through the linear algebra library, in place.
"""

from typing import Any

from numpy import ascontiguousarray, dot


def multiply(a: Any, b: Any, out: Any) -> None:
    """out = a @ b"""
    out[...] = dot(ascontiguousarray(a), ascontiguousarray(b))


def multiply_add(a: Any, b: Any, out: Any) -> None:
    """out += a @ b"""
    out += dot(ascontiguousarray(a), ascontiguousarray(b))


def in_chunks(kernel: Any, rows: int, chunks: int, reach: int, args: Any) -> None:
    """Runs the kernel over the rows, chunk by chunk; first without the last rows, which reach into the next chunk."""
    for chunk in range(chunks):
        kernel(chunk, rows * chunk // chunks, rows * (chunk + 1) // chunks - reach, *args)
    for chunk in range(chunks if reach else 0):
        first, last = rows * chunk // chunks, rows * (chunk + 1) // chunks
        kernel(chunk, max(first, last - reach), last, *args)


FUNCTIONS = (multiply, multiply_add, in_chunks)
