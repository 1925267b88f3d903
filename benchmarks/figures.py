"""A figure with what it is held against, and the file and table that keep the last ones."""

import json
import math
import os
import platform
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results.json"
README = FOLDER / "README.md"
_BEGIN, _END = "<!-- results -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Figure:
    """One measured value.

    `ratio` is how many times better than `compared_value` it is: theirs divided by ours where less is better, ours
    divided by theirs where more is. `bar` is what must be kept, or None where there is none.
    """

    figure: str
    value: float
    unit: str
    command: str
    compared_with: str | None = None
    compared_value: float | None = None
    bar: float | None = None
    more_is_better: bool = False
    samples: int = 1

    @property
    def ratio(self) -> float | None:
        """None where there is nothing to compare with."""
        if not self.compared_value or not self.value:
            return None
        better = self.value / self.compared_value if self.more_is_better else self.compared_value / self.value
        return round(better, 2)

    @property
    def bar_met(self) -> bool | None:
        """Whether the bar is kept; None without one."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.more_is_better else self.value <= self.bar


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed."""
    return sorted(values)[min(math.ceil(len(values) * share), len(values)) - 1]


def machine() -> dict[str, object]:
    """What the figures were measured on. The load says whether it was quiet."""
    model = "unknown processor"
    memory = 0
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(": ")[2] if names else platform.machine()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2
    return {
        "processor": model,
        "processors": os.cpu_count(),
        "memory_mebibytes": memory,
        "kernel": platform.release(),
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }


def commit() -> str:
    """The commit that was measured, with a mark where files differed from it."""
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def keep(figures: Iterable[Figure], part: str, on: dict[str, object], version: str) -> None:
    """Write a part's figures into the results and the table; those of other names stay as they are.

    `on` is the machine and `version` the commit, both as they were when the measurement began.
    """
    known = _known()
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    for figure in figures:
        known[figure.figure] = {
            **asdict(figure),
            "value": _rounded(figure.value),
            "compared_value": None if figure.compared_value is None else _rounded(figure.compared_value),
            "ratio": figure.ratio,
            "bar_met": figure.bar_met,
            "part": part,
            "date": when,
            "commit": version,
            "machine": on,
        }
    _write(known)


def drop_others(part: str, measured: Collection[str]) -> None:
    """Take out what a part measured once and does not any more; `measured` are the names of its figures now."""
    known = _known()
    _write({name: each for name, each in known.items() if each.get("part") != part or name in measured})


def _known() -> dict[str, dict[str, object]]:
    if not RESULTS.exists():
        return {}
    return {each["figure"]: each for each in json.loads(RESULTS.read_text())["figures"]}


def _write(known: dict[str, dict[str, object]]) -> None:
    """Keep what belongs together together, where a part has new figures."""
    parts = list(dict.fromkeys(each.get("part") for each in known.values()))
    figures = sorted(known.values(), key=lambda each: parts.index(each.get("part")))
    RESULTS.write_text(json.dumps({"figures": figures}, indent=2) + "\n")
    README.write_text(with_table(README.read_text(), figures))


def with_table(text: str, figures: Sequence[dict[str, object]]) -> str:
    """The text with the table of figures between its two marks."""
    rows = ["| figure | value | held against | ratio | bar |", "| --- | --- | --- | --- | --- |"]
    for each in figures:
        theirs = "" if each["compared_with"] is None else f"{each['compared_with']}: {each['compared_value']}"
        ratio = "" if each["ratio"] is None else f"{each['ratio']}"
        bar = "" if each["bar"] is None else f"{each['bar']:.4g} {'kept' if each['bar_met'] else '**missed**'}"
        rows.append(f"| {each['figure']} | {each['value']} {each['unit']} | {theirs} | {ratio} | {bar} |")
    versions = sorted({f"{each['date']} at {each['commit']}" for each in figures})
    head, _, rest = text.partition(_BEGIN)
    tail = rest.partition(_END)[2]
    table = "\n".join(rows)
    return f"{head}{_BEGIN}\nMeasured {', '.join(versions)}.\n\n{table}\n{_END}{tail}"


def _rounded(value: float) -> float:
    return round(value, 1) if value >= 100 else round(value, 2)
