"""The plot of the scaling benchmark: what there was to do, and the hosts that were there for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from benchmarks.figures import FOLDER
from benchmarks.scaling_model import Sample

PLOT = FOLDER / "scaling.svg"
_MOST_POINTS = 300
_BLUE, _ORANGE, _GREY = "#1f77b4", "#ff7f0e", "#777777"


@dataclass(frozen=True)
class Panel:
    """One load: a column of the plot."""

    title: str
    samples: Sequence[Sample]
    groups: tuple[str, ...]
    """What the groups of hosts are called, in the samples' order."""
    beside: Sequence[Sample] | None = None
    """The same load, simulated, where the samples were measured."""


def draw(panels: Sequence[Panel], path: Path = PLOT) -> None:
    """Write the plot. The same panels give the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "agent-fleet", "svg.fonttype": "none", "font.size": 8}):
        drawing = Drawing(figsize=(3.1 * len(panels), 4.2), layout="constrained")
        for number, panel in enumerate(panels):
            jobs = drawing.add_subplot(2, len(panels), number + 1)
            hosts = drawing.add_subplot(2, len(panels), len(panels) + number + 1, sharex=jobs)
            samples = _thinned(panel.samples)
            unit, seconds = _unit(samples)
            moments = [each.at / seconds for each in samples]
            jobs.plot(moments, [each.running for each in samples], color=_BLUE, linewidth=1, label="running")
            jobs.plot(moments, [each.queued for each in samples], color=_ORANGE, linewidth=1, label="queued")
            jobs.set_title(panel.title)
            stacked = [[each.hosts[place] for each in samples] for place in range(len(panel.groups))]
            hosts.stackplot(
                moments, *stacked, labels=panel.groups, colors=[_BLUE, _ORANGE][: len(stacked)], alpha=0.6, step="post"
            )
            if panel.beside is not None:
                thinned = _thinned(panel.beside)
                hosts.step(
                    [each.at / seconds for each in thinned],
                    [sum(each.hosts) for each in thinned],
                    where="post",
                    color=_GREY,
                    linewidth=1,
                    linestyle="--",
                    label="simulated",
                )
            hosts.set_xlabel(unit)
            for axes in (jobs, hosts):
                axes.set_ylim(bottom=0)
                axes.legend(loc="upper right", frameon=False)
            if number == 0:
                jobs.set_ylabel("jobs")
                hosts.set_ylabel("worker hosts")
        drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _unit(samples: Sequence[Sample]) -> tuple[str, float]:
    return ("hours", 3_600.0) if samples and samples[-1].at > 3_600 else ("seconds", 1.0)


def _thinned(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Few enough for a small file; the most queued of each stretch is kept, as it is what matters."""
    size = -(-len(samples) // _MOST_POINTS)
    if size <= 1:
        return samples
    stretches = [samples[first : first + size] for first in range(0, len(samples), size)]
    return [max(each, key=lambda sample: sample.queued) for each in stretches]
