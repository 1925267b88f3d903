"""Code of jobs that wait for their test."""

from pathlib import Path


def until_there(file: Path) -> str:
    """A line of Python, for code that has imported os and time: waits for a file, or until its test's folder is gone.

    Without the second a job whose worker was killed would outlive its test for ever.
    """
    folder, name = repr(str(file.parent)), repr(str(file))
    return f"while os.path.isdir({folder}) and not os.path.exists({name}): time.sleep(0.02)\n"
