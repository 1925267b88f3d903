"""What the first process of a sandbox does first: it forks the process that will become the job.

That happens before the runner loads anything for itself, so the job gets an interpreter as bare as `python3 main.py`
would be, but for WARM_MODULES. Nothing may be imported here that Python has not loaded anyway.
"""

import _signal  # pyright: ignore[reportMissingImports] - signal itself would load more
import atexit
import gc
import os
import sys

MAIN_FILES = {"python": "main.py", "bash": "main.sh", "node": "main.js", "program": "program.json"}
PROGRAMS = {"bash": "/bin/bash", "node": "/usr/local/bin/node"}
WARM_MODULES = ("collections", "datetime", "functools", "json", "math", "random", "re", "time")
"""What most Python jobs import. Each costs every sandbox memory and every job a longer exit."""
READY = b"R\0\0\0\0"
"""The frame that says so (frames.py)."""
HASTE_MILLISECONDS = 25
"""How soon after that word a waiting job is there."""
MANY_BLOCKS = 500_000
"""Of memory, an object or a part of one each; a bare interpreter has 40,000."""
EGRESS_SOCKET = "/run/egress/proxy.sock"
"""Mounted in sandboxes of templates with egress."""
PROXY_URL = "http://127.0.0.1:3128"
OWN_ADDRESSES = "localhost,127.0.0.1,::1"
PROXY_ENVIRONMENT = {
    "HTTP_PROXY": PROXY_URL,
    "http_proxy": PROXY_URL,
    "HTTPS_PROXY": PROXY_URL,
    "https_proxy": PROXY_URL,
    "NO_PROXY": OWN_ADDRESSES,
    "no_proxy": OWN_ADDRESSES,
    "NODE_USE_ENV_PROXY": "1",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
}
"""How programs find the forwarder. What listens in the sandbox itself is reached without it."""


def main() -> None:
    """Be PID 1. Returns only in the child of a Python job."""
    try:
        plain = frozenset(sys.modules)
        # Kubernetes tells every container where its API server is, which is nothing that a job needs to know.
        for name in [name for name in os.environ if name.startswith("KUBERNETES_")]:
            del os.environ[name]
        if os.access(EGRESS_SOCKET, os.F_OK) and os.read(start_forwarder(), 1) != b"f":
            raise OSError("the way to the egress proxy was not opened")
        os.write(1, READY)
        in_haste = job_waits(HASTE_MILLISECONDS)
        for name in WARM_MODULES:
            in_haste = in_haste or job_waits(0)
            if not in_haste:
                __import__(name)
        stdin, stdout, stderr, go, warm = (os.pipe() for _ in range(5))
        # Spares every job a collection of all that the warm interpreter holds.
        gc.collect()
        gc.freeze()
        child = os.fork()
        if child == 0:
            wait_as_job((stdin[0], stdout[1], stderr[1]), warm[1], go[0], plain)
            return
        for end in (stdin[0], stdout[1], stderr[1], warm[1], go[0]):
            os.close(end)
        from fleet_sandbox.runner import serve

        in_haste = in_haste or job_waits(0)
        serve(child, stdin[1], (stdout[0], stderr[0]), go[1], warm[0], in_haste=in_haste)
    except BaseException as error:
        os.write(2, f"runner: {type(error).__name__}: {error}\n".encode(errors="replace"))
        os._exit(70)
    os._exit(0)


def job_waits(milliseconds: int) -> bool:
    """Say whether a job is there or comes that soon: it has waited for this sandbox, and to prepare holds it up."""
    import select

    poll = select.poll()
    poll.register(0, select.POLLIN)
    return bool(poll.poll(milliseconds))


def start_forwarder() -> int:
    """Fork the process that leads to the egress proxy, and tell the environment; a byte comes when it listens.

    It loads what it needs for itself: the job's interpreter stays bare. It keeps no descriptor of the runner's, as the
    job may look into it.
    """
    ready, told = os.pipe()
    if os.fork() == 0:
        try:
            from fleet_sandbox.forwarder import become

            become(told)
        finally:
            os._exit(1)
    os.close(told)
    os.environ.update(PROXY_ENVIRONMENT)
    return ready


def wait_as_job(ends: tuple[int, int, int], warm: int, go: int, plain: frozenset[str]) -> None:
    """In the child: keep nothing of the runner but the three standard descriptors, wait for the word, become the job.

    `plain` are the modules that Python has loaded without the warm ones. Returns for Python only, and the interpreter
    goes on to run main.py.
    """
    try:
        os.setsid()
        for number, end in enumerate(ends):
            os.dup2(end, number)
        warm, go = (os.dup2(end, number, inheritable=False) for number, end in ((100, warm), (101, go)))
        os.closerange(3, warm)
        os.closerange(go + 1, os.sysconf("SC_OPEN_MAX"))
        # Where memory runs out, of the sandbox or of the host, jobs go first.
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        os.write(score, b"1000")
        os.close(score)
        fresh_main()
        # The first that is registered is the last that is called.
        atexit.register(let_all_be_finalised)
        hidable = modules_a_job_can_hide(plain)
        os.write(warm, b"w")
        os.close(warm)
        word = os.read(go, 100).decode()
        os.close(go)
        if word[:1] == "0":
            null = os.open("/dev/null", os.O_RDONLY)
            os.dup2(null, 0)
            os.close(null)
        language = word[1:]
        if language == "python":
            drop_hidden(hidable)
            return
        if language == "program":
            from fleet_sandbox.program import become_program

            become_program(MAIN_FILES[language])
        for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
            _signal.signal(number, _signal.SIG_DFL)
        os.execv(PROGRAMS[language], [language, MAIN_FILES[language]])  # noqa: S606 - this is what the sandbox is for
    except BaseException as error:
        os.write(2, f"the job cannot be started: {error}\n".encode(errors="replace"))
        os._exit(127)


def fresh_main() -> None:
    """Give the job a `__main__` that the collector sees: it skips what was there when it was frozen.

    With a frozen `__main__` no object of a job would be finalised at its end.
    """
    for name in [name for name in sys.modules if name.partition(".")[0] == "fleet_sandbox"]:
        del sys.modules[name]
    old = sys.modules["__main__"]
    fresh = type(sys)("__main__")
    fresh.__dict__.update(old.__dict__)
    sys.modules["__main__"] = fresh


def let_all_be_finalised() -> None:
    """At a job's end: if it leaves what says `__del__`, show the collector all that is frozen.

    A file left open says it. What hangs on a class or module that was frozen, as `json.JSONEncoder.default = mine` does
    with all that `mine` can see, would not be finalised. To collect all takes as long as the rest of an end, so only
    then. What is frozen is not looked through here, nor so many objects of a job that a list of them would cost memory
    which the job may not have.
    """
    if sys.getallocatedblocks() > MANY_BLOCKS or any(
        hasattr(kind, "__del__") for kind in set(map(type, gc.get_objects()))
    ):
        gc.unfreeze()


def modules_a_job_can_hide(plain: frozenset[str]) -> frozenset[str]:
    """Return the top-level modules in whose stead `python3 main.py` would import a file beside main.py.

    Those of `plain` are loaded before main.py can import anything, and built-in ones are found before any file.
    """
    extra = {name: module for name, module in sys.modules.items() if name not in plain and "." not in name}
    return frozenset(name for name, module in extra.items() if module.__spec__ and module.__spec__.has_location)


def drop_hidden(hidable: frozenset[str]) -> None:
    """Forget the warm modules that the job brings itself: its own folder comes first on the path.

    Modules that stay warm keep those they have imported.
    """
    entries = os.listdir()  # noqa: PTH208 - pathlib would have to be loaded
    names = hidable.intersection([entry.partition(".")[0] for entry in entries])
    if not names:
        return
    # Not the finder that imports will use: what that one has seen of the folder may be stale by then.
    finder = sys.path_hooks[-1](os.getcwd())  # noqa: PTH109 - the same
    specs = {name: finder.find_spec(name) for name in names}
    # Without a loader it is a folder with no __init__.py, which hides nothing.
    hidden = {name for name, spec in specs.items() if spec and spec.loader}
    for name in [name for name in sys.modules if name.partition(".")[0] in hidden]:
        del sys.modules[name]
