"""The first process of an agent's container, when a signal comes before its command has begun."""

import signal
import subprocess
import sys
from pathlib import Path

_PROGRAM = Path(__file__).parents[2] / "images" / "agent" / "program"
_EARLY = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import start
make_group = os.setpgid
os.setpgid = lambda child, group: None if child == 0 else make_group(child, group)
signals = {*start.PASSED_ON, signal.SIGCHLD}
before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
child = start.run(["sleep", "60"], before)
os.kill(os.getpid(), signal.SIGTERM)
sys.exit(start.watch(child, signals))
"""


def test_a_signal_that_comes_before_the_command_is_a_group_of_its_own_reaches_it() -> None:
    """Prevents a container that ends with a stack trace because a terminal told its size while it started."""
    ended = subprocess.run(
        [sys.executable, "-c", _EARLY, str(_PROGRAM)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGTERM, "")
