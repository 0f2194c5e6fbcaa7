"""Coverage-guided fuzzing of texts, and of functions with the same statements. Needs the extra `fuzz`.

python tests/fuzz.py -max_total_time=60
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import atheris  # type: ignore[import-not-found, unused-ignore]

with atheris.instrument_imports(include=["gradc.frontends", "gradc.lower", "gradc.autodiff", "gradc.schedule"]):
    import attempts
    from cases import EXAMPLES
    from mutations import mutated, outcome, outcome_as_function, watchdog

CORPUS = [
    *(p.read_text() for p in sorted(EXAMPLES.glob("*.gradc"))),
    *attempts.texts(attempts.SCALARS, attempts.REFUSED_OF_SCALARS + attempts.ACCEPTED_OF_SCALARS),
    *attempts.texts(attempts.ARRAYS, attempts.REFUSED_OF_ARRAYS + attempts.ACCEPTED_OF_ARRAYS),
]


def one(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    with watchdog(10):
        outcome(text)
        if len(data) % 4 == 0:
            outcome_as_function(text)


def mutator(data: bytes, longest: int, seed: int) -> bytes:
    text = mutated(data.decode(errors="surrogateescape"), CORPUS, Random(seed))
    return text.encode(errors="surrogatepass")[:longest]


if __name__ == "__main__":
    with TemporaryDirectory() as seeds:
        for k, text in enumerate(CORPUS):
            (Path(seeds) / str(k)).write_text(text)
        atheris.Setup(
            [*sys.argv, seeds, "-max_len=2000", "-mutate_depth=1", "-rss_limit_mb=6000"], one, custom_mutator=mutator
        )
        atheris.Fuzz()
