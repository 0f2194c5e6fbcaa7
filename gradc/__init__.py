"""gradc: losses in, readable fused gradient functions out."""

from gradc.api import compile
from gradc.errors import GradcError, InputError, ParseError, ShapeError, UnsupportedError
from gradc.function import Function
from gradc.kinds import data, index, option, param
from gradc.version import VERSION

__version__ = VERSION

__all__ = [
    "Function",
    "GradcError",
    "InputError",
    "ParseError",
    "ShapeError",
    "UnsupportedError",
    "__version__",
    "compile",
    "data",
    "index",
    "option",
    "param",
]
