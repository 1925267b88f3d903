"""Programs that attack their sandbox, what each may achieve, and a siege: many at once, with honest jobs between them.

A program says what it achieved on lines that begin with ACHIEVED, and MARKER once it has really begun; without that it
counts for nothing. Comments at its top say what is allowed:

- `# achieves: text` for each such line that is no fault; none if not given;
- `# at most: N` for the number that it achieves instead (`pids` is the sandbox's limit of processes);
- `# ends: …` with alternatives between `|`: `exited`, `exited N`, `signal NAME`, `oom`, `timed_out`, `output_limit`;
- `# timeout: N` in seconds.
"""

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.client import PoolCount, RunRequest, RunResult
from sandbox_daemon import Daemon, eventually, programs, source

_MARKER = {"python": "\nprint('MARKER')\nraise SystemExit(9)", "bash": "\necho MARKER; exit 9"}
_HEADER = re.compile(r"# (achieves|at most|ends|timeout): (.*)")
_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "attacks": {"ends": "exited 9", "timeout": "40"},
    "floods": {"ends": "exited 0", "timeout": "40"},
    "overstayers": {"ends": "timed_out", "timeout": "2"},
    "survivors": {"ends": "exited 0", "timeout": "40"},
}
_OWN_TESTS = frozenset(f"floods/{name}.python" for name in ("descriptors", "inodes", "runner_limits", "scratch"))
"""What they do is told in numbers, which tests of their own judge."""

# Whatever a job left to the next would show here: in a folder, on Python's path, in what it loads by itself.
HONEST = (
    "import glob, os, sys\n"
    "print([sorted(os.listdir(folder)) for folder in ('/job', '/tmp', '/dev/shm')])\n"
    "print(sys.path, 'usercustomize' in sys.modules, sys.modules['sitecustomize'].__file__)\n"
    "print(len(glob.glob('/proc/[0-9]*')), open('/proc/sysvipc/shm').read().count('\\n'), 6 * 7)\n"
)


@dataclass(frozen=True)
class Hostile:
    """One program, ready to run, and what it may achieve."""

    name: str
    code: str
    achieves: tuple[str, ...]
    at_most: str | None
    ends: tuple[str, ...]
    timeout_seconds: float

    @property
    def language(self) -> str:
        """By its ending."""
        return self.name.rpartition(".")[2]


def hostile(name: str) -> Hostile:
    """Read a program and its comments."""
    code = source(name)
    found = [header.groups() for line in code.splitlines() if (header := _HEADER.fullmatch(line))]
    given = {**_DEFAULTS[name.partition("/")[0]], **{key: value for key, value in found if key != "achieves"}}
    if "MARKER" not in code:
        code += _MARKER[name.rpartition(".")[2]]
    return Hostile(
        name,
        code,
        tuple(value for key, value in found if key == "achieves"),
        given.get("at most"),
        tuple(end.strip() for end in given["ends"].split("|")),
        float(given["timeout"]),
    )


def names() -> list[str]:
    """All programs that one rule judges."""
    kinds = ("attacks", "floods", "overstayers", "survivors")
    return [name for kind in kinds for name in programs(kind) if name not in _OWN_TESTS]


def ended(result: RunResult) -> set[str]:
    """Every word of `# ends` that a result fits."""
    words = {result.reason}
    if result.exit_code is not None:
        words.add(f"exited {result.exit_code}")
    if result.signal is not None:
        words.add(f"signal {result.signal}")
    if result.oom_killed:
        words.add("oom")
    return words


def hold(program: Hostile, result: RunResult, *, pids: int, memory_ends: frozenset[str] = frozenset({"oom"})) -> None:
    """Assert that a program ran, achieved no more than it may, and ended as it should.

    `memory_ends` are the ways in which one ends that has used up the sandbox's memory.
    """
    output = result.stdout.decode(errors="replace")
    shown = (program.name, result.reason, result.exit_code, result.signal, output[-1500:], result.stderr[-1500:])
    assert "MARKER" in output, shown
    achieved = re.findall(r"^ACHIEVED (.*)$", output, re.MULTILINE)
    if program.at_most is None:
        assert achieved == list(program.achieves), shown
    else:
        most = pids if program.at_most == "pids" else int(program.at_most)
        assert all(0 < int(number) <= most for number in achieved), shown
        assert achieved or "oom" in program.ends, shown
    ends = {*program.ends, *(memory_ends if "oom" in program.ends else ())}
    assert ended(result) & ends, shown
    assert "Traceback" not in result.stderr.decode(errors="replace"), shown


async def run_and_hold(daemon: Daemon, name: str, *, pids: int) -> None:
    """Run one program alone, and assert the same of it."""
    program = hostile(name)
    result = await daemon.run(program.language, program.code, timeout_seconds=program.timeout_seconds)
    hold(program, result, pids=pids)


@dataclass
class Siege:
    """How the programs ended, and what became of everyone else meanwhile."""

    pids: int
    results: dict[str, RunResult] = field(default_factory=dict[str, RunResult])
    before: RunResult | None = None
    honest: list[RunResult] = field(default_factory=list[RunResult])
    whole: PoolCount | None = None
    left_over: set[str] = field(default_factory=set[str])


async def besiege(
    daemon: Daemon, programs: Sequence[str], *, at_once: int, template: str, honest_template: str, pids: int
) -> Siege:
    """Run programs, so many at once, while another tenant's honest jobs go on; then wait for the pool to be whole."""
    siege = Siege(pids)
    waiting = [hostile(name) for name in reversed(programs)]
    siege.before = await _run(daemon, honest_template, "honest", "python", HONEST, 30)

    async def attack() -> None:
        while waiting:
            program = waiting.pop()
            siege.results[program.name] = await _run(
                daemon, template, "hostile", program.language, program.code, program.timeout_seconds
            )

    attacks = asyncio.gather(*(attack() for _ in range(at_once)))
    while not attacks.done():
        siege.honest.append(await _run(daemon, honest_template, "honest", "python", HONEST, 30))
        # Honest tenants do not hammer; and the machine is the attackers' as well.
        await asyncio.wait({attacks}, timeout=0.5)
    await attacks
    await _whole(daemon, siege)
    return siege


async def _run(
    daemon: Daemon, template: str, tenant: str, language: str, code: str, timeout_seconds: float
) -> RunResult:
    payload = encode(language, code, None, {})
    request = RunRequest(secrets.token_hex(8), 1, template, timeout_seconds, payload, tenant)
    return await daemon.client.run(request, kill=asyncio.Event())


async def _whole(daemon: Daemon, siege: Siege) -> None:
    wanted = {name: template["warm"] for name, template in daemon.templates.items()}

    async def is_whole() -> bool:
        siege.whole = await daemon.count()
        if siege.whole is None or not siege.whole.healthy:
            return False
        counts = siege.whole.templates
        # What was asked for much is kept a little warmer for a while.
        if any(count.warm < wanted[name] or count.starting or count.running for name, count in counts.items()):
            return False
        if daemon.made is None:
            return True
        siege.left_over = daemon.sandboxes()
        return len(siege.left_over) == sum(count.warm for count in counts.values())

    try:
        await eventually(is_whole, 60, "the pool to be whole")
    except AssertionError as late:
        raise AssertionError(f"{late}: {siege.whole}, {siege.left_over}, {daemon.log()[-2000:]}") from None
