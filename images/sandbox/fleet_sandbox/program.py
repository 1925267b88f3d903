"""How the child of the runner becomes a program that was given as a list: there is no shell in between, nor need be."""

import _signal  # pyright: ignore[reportMissingImports] - signal itself would load more
import os

from fleet_sandbox import plain_json

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes, as a shell has them."""


def become_program(file: str) -> None:
    """Read what to run from `file` (fleet_runtime/agent_script.py is the other side) and become it; never returns."""
    with open(file, encoding="utf-8") as text:  # noqa: PTH123 - pathlib is not loaded here
        given = plain_json.loads(text.read())
    arguments, folder = [str(part) for part in given["arguments"]], given["folder"]
    os.environ.update({str(name): str(value) for name, value in given["environment"].items()})
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    name = arguments[0]
    try:
        if folder is not None:
            name = str(folder)
            os.chdir(folder)
            os.environ["PWD"] = folder
            name = arguments[0]
        os.execvp(name, arguments)  # noqa: S606 - this is what the sandbox is for
    except FileNotFoundError:
        complain(f"{name}: not found", NOT_FOUND if name == arguments[0] else NOT_EXECUTABLE)
    except OSError as error:
        complain(f"{name}: {error.strerror}", NOT_EXECUTABLE)


def complain(text: str, code: int) -> None:
    """Say why nothing was started, and end."""
    os.write(2, f"{text}\n".encode(errors="replace"))
    os._exit(code)
