"""LLVM text into machine code, in a thread of its own: text that follows is written meanwhile.

LLVM works without Python's lock. It is the writing of text that needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from llvmlite import binding


class Translator:
    """Makes an object of each text, one after another, for the processor that Numba's `codegen` is for."""

    def __init__(self, codegen: Any) -> None:
        self.codegen = codegen
        self.thread = ThreadPoolExecutor(1, "gradc-translate")
        self.objects: list[Future[bytes]] = []

    def __enter__(self) -> Translator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.thread.shutdown(cancel_futures=True)

    def add(self, text: str, operations: Sequence[Any]) -> None:
        """What is defined in these modules is compiled into the text where it says so."""
        self.objects.append(self.thread.submit(self._object, text, tuple(operations)))

    def made(self) -> list[bytes]:
        return [each.result() for each in self.objects]

    def _object(self, text: str, operations: Sequence[Any]) -> bytes:
        module = binding.parse_assembly(text)
        if operations:
            for each in operations:
                module.link_in(each, preserve=True)
            passes, builder = self.codegen._module_pass_manager(opt=0, loop_vectorize=False, slp_vectorize=False)
            passes.run(module, builder)
        module.verify()
        code: bytes = self.codegen._tm.emit_object(module)
        return code


def load(codegen: Any, objects: Sequence[bytes]) -> None:
    """Makes what is in these objects known to the code that `codegen` is still to load."""
    for code in objects:
        codegen._engine._ee.add_object_file(binding.ObjectFileRef.from_data(code))
