"""From generated text to functions that run: the cache, Numba, and the inputs of a call."""
