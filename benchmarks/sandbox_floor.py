"""What a warm Python job takes with nothing around it: the same interpreter, forked, its page faults taken, told to go.

No namespace, no control group, no limit, no frame. It is something to hold a job at sandboxd against, and no lower
bound: after a pause it can take longer than such a job.
"""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager

_PROGRAM = """
import gc, os, time
from fleet_sandbox import memory
from fleet_sandbox.first import WARM_MODULES
for name in WARM_MODULES:
    __import__(name)
while True:
    go, out = os.pipe(), os.pipe()
    gc.collect()
    gc.freeze()
    child = os.fork()
    if child == 0:
        os.dup2(out[1], 1)
        for end in (go[1], *out):
            os.close(end)
        if not os.read(go[0], 1):
            os._exit(0)
        exec(compile(PROGRAM, "main.py", "exec"))
        break
    os.close(go[0])
    os.close(out[1])
    memory.touch(child)
    memory.touch_own()
    if not os.read(0, 1):
        break
    began = time.perf_counter_ns()
    os.write(go[1], b"g")
    while os.read(out[0], 4096):
        pass
    os.waitpid(child, 0)
    took = time.perf_counter_ns() - began
    os.write(1, b"%d\\n" % took)
    os.close(go[1])
    os.close(out[0])
"""


class Floor:
    """Such an interpreter in a container that is there already."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Take over a process that runs the program above."""
        self._process = process

    def once(self) -> float:
        """Run the program once; milliseconds from the word until its process is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b".")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()) / 1e6


@contextmanager
def floor(container: str, program: str) -> Generator[Floor]:
    """Keep one in a running container of the sandbox's image."""
    code = _PROGRAM.replace("PROGRAM", repr(program))
    command = ["docker", "exec", "--interactive", container, "python3", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Floor(process)
        finally:
            # The end of its input ends it.
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)
