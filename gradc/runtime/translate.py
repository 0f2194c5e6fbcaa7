"""LLVM text into machine code, in a thread of its own: text that follows is written meanwhile.

LLVM works without Python's lock. It is the writing of text that needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from llvmlite import binding


class Translator:
    """Makes an object of each text, one after another, for the processor that Numba's `codegen` is for."""

    def __init__(self, codegen: Any) -> None:
        self.codegen = codegen
        self.given: SimpleQueue[tuple[str, Sequence[Any]] | None] = SimpleQueue()
        self.objects: list[bytes] = []
        self.error: BaseException | None = None
        self.thread: threading.Thread | None = threading.Thread(target=self._work, name="gradc-translate", daemon=True)
        try:
            self.thread.start()
        except RuntimeError:  # there are no more threads, as when the interpreter ends
            self.thread = None

    def __enter__(self) -> Translator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.error = self.error or error
        self._end()

    def add(self, text: str, operations: Sequence[Any]) -> None:
        """What is defined in these modules is compiled into the text where it says so."""
        if self.thread is None:
            self.objects.append(self._object(text, operations))
        else:
            self.given.put((text, operations))

    def made(self) -> list[bytes]:
        """The objects of all texts. Raises what stopped one of them."""
        self._end()
        if self.error is not None:
            raise self.error
        return self.objects

    def _end(self) -> None:
        if self.thread is not None:
            self.given.put(None)
            self.thread.join()

    def _work(self) -> None:
        """Makes objects until there is nothing more to come; after an error nothing is made."""
        while (work := self.given.get()) is not None:
            if self.error is None:
                try:
                    self.objects.append(self._object(*work))
                except BaseException as error:
                    self.error = error

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
