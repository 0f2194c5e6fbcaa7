"""An emitted module: its parts, and the text a template makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from gradc import resources

if TYPE_CHECKING:
    import jinja2

TEMPLATE = "module.py.jinja"


@dataclass(frozen=True)
class Module:
    """An emitted module: the names it defines, and what the template makes a text of when somebody wants it.

    `helpers` are the library's, as they are spelt there; `kernels` are called by the `entries`.
    """

    parts: Mapping[str, Any]
    helpers: dict[str, str]
    kernels: tuple[str, ...]
    entries: tuple[str, ...]
    dtype: str = "float64"

    @property
    def key(self) -> str:
        """All the text depends on: modules of equal keys have equal texts."""
        return repr(self.parts) + (resources.path("templates") / TEMPLATE).read_text(encoding="utf-8")

    @cached_property
    def text(self) -> str:
        return _environment().get_template(TEMPLATE).render(self.parts)

    @property
    def body(self) -> str:
        """The part of the text that defines the functions."""
        return self.text[: self.text.index("\n\ntry:\n    from numba import njit")] + "\n"


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.path("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
