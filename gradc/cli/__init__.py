"""The command line: `gradc COMMAND FILE [options]`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from gradc.cli.app import app
from gradc.errors import GradcError

BUG, INTERRUPTED = 3, 128 + signal.SIGINT
"""Exit codes for an error of gradc's own and for Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits: 0 fine, 1 a check that failed, 2 a user's error, told in one message on stderr."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `gradc show ... | head` ends quietly
    sys.stdout, sys.stderr = (s or Path(os.devnull).open("w") for s in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(arguments, prog_name="gradc")
    except GradcError as error:
        _fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")
    except MemoryError as error:
        _fail(f"out of memory{f': {error}' if str(error) else ''}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if _interrupted(error):
            sys.exit(INTERRUPTED)
        if os.environ.get("GRADC_TRACEBACK"):
            raise
        message = f"an error inside gradc: {type(error).__name__}: {error}"
        _fail(f"{message}\n    please report it, with what GRADC_TRACEBACK=1 shows", BUG)


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: compiled code makes SystemErrors of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _fail(message: str, code: int = 2) -> None:
    """Prints what went wrong, with nothing in it that a terminal would act on."""
    print("".join(c if c.isprintable() or c == "\n" else "?" for c in message), file=sys.stderr)
    sys.exit(code)
