"""`make bench`: deploys a fleet of its own, measures, and writes results.json and the table of README.md.

python -m benchmarks [--only latency,queue] [--jobs 160] ...; --help lists the parts
"""

import argparse
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

from benchmarks.arrivals import PATTERNS, Served, arrivals
from benchmarks.deployment import deployment, idle
from benchmarks.figures import Figure, commit, drop_others, keep, machine
from benchmarks.fleet import Client, Fleet, fleet, quiet_load
from benchmarks.jobs import after_quiet, latency, throughput
from benchmarks.pauses import pauses
from benchmarks.processes import Processes, default_template, oci_fleet
from benchmarks.queue_capacity import queue_capacity
from benchmarks.sandbox_backends import BACKENDS
from benchmarks.sandbox_part import sandbox
from benchmarks.scaling import scaling
from benchmarks.stopping import end_in_order

_REBUILT = ("runtime", "agent-node", "agent-full")
"""Not the last by default: where it was never built, its Rust tool is compiled for twenty minutes first."""
_ALONE = ("sandbox", "pauses", "queue", "images", "scaling")
"""Without the deployed fleet: its health checks alone would show in a percentile of a few milliseconds."""
PARTS = ("deployment", "idle", "latency", "quiet", "arrivals", "throughput", *_ALONE)
"""In this order: the deployed fleet's first, and of those the ones that leave the machine busiest last."""
_DEPLOYED = {"deployment", "idle", "throughput"}
_BESIDE = {"latency", "quiet", "arrivals"}
"""Of the deployed fleet, whose backend is docker, and of one on the oci backend beside it."""


def _several(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a reader of some of these words, separated by commas, in the order in which they are known."""

    def read(given: str) -> list[str]:
        words = given.split(",")
        if wrong := sorted(set(words) - set(known)):
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)!r} is none of {', '.join(known)}")
        return [each for each in known if each in words]

    return read


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", type=_several(PARTS), default=list(PARTS), help="parts, separated by commas (all)")
    add("--backends", type=_several(BACKENDS), default=list(BACKENDS), help="docker, oci (both)")
    add("--image", help="the sandbox image, where no part needs the deployed fleet (the deployed fleet's)")
    add("--jobs", type=int, default=160, help="jobs for each latency (%(default)s)")
    add("--seconds", type=float, default=40, help="time for the throughput (%(default)s)")
    add("--sandbox-seconds", type=float, default=12, help="time for each throughput of sandboxd (%(default)s)")
    add("--quiet-rounds", type=int, default=3, help="times of quiet (%(default)s)")
    add("--quiet-seconds", type=float, default=60, help="length of each (%(default)s)")
    add("--arrival-seconds", type=float, default=40, help="time for each kind of arrivals (%(default)s)")
    add("--refill-seconds", type=float, default=10, help="time to measure the refill rate (%(default)s)")
    add("--patterns", type=_several(PATTERNS), default=list(PATTERNS), help="even, random arrivals (both)")
    add("--queue-seconds", type=float, default=12, help="time for the empty jobs (%(default)s)")
    add(
        "--rebuilt",
        type=_several(_REBUILT),
        default=list(_REBUILT[:2]),
        help="images to build anew (runtime,agent-node)",
    )
    add("--limit-minutes", type=float, default=30, help="give up after so long, and clean up (%(default)s)")
    return parser.parse_args()


def _check(options: argparse.Namespace) -> None:
    """End with one line where something that the parts need is not here."""
    try:
        docker.from_env().ping()
    except DockerException as error:
        raise SystemExit(f"Docker is needed and cannot be reached: {error}") from None
    wanted = sorted({*_BESIDE, "sandbox"} & set(options.only))
    runc = shutil.which("runc", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if "oci" in options.backends and wanted and (os.geteuid() != 0 or runc is None):
        raise SystemExit(
            f"{', '.join(wanted)}: the oci backend takes root and runc; run this as root, or with --backends docker"
        )


class _Bench:
    """One run: what is up, and what of it each part measures."""

    def __init__(self, options: argparse.Namespace, deployed: Fleet) -> None:
        self._options = options
        self._deployed = deployed
        self._image: str | None = options.image

    def run(self) -> None:
        """Measure every part, each with nothing more running beside it than it needs."""
        parts: list[str] = self._options.only
        beside = [each for each in parts if each in _BESIDE]
        on_docker = "docker" in self._options.backends
        needs_image = bool({*beside, "sandbox"} & set(parts)) and self._image is None
        up = bool(_DEPLOYED & set(parts)) or (bool(beside) and on_docker) or needs_image
        if up and "deployment" not in parts:
            self._deployed.make("up")
        for part in ("deployment", "idle"):
            self._part(part, lambda part=part: (deployment if part == "deployment" else idle)(self._deployed))
        with self._kept_image(up) as image, ExitStack() as opened:
            if beside:
                oci = None
                if "oci" in self._options.backends:
                    oci = opened.enter_context(oci_fleet(image, default_template(image)))
                self._beside(oci, image)
            opened.close()
            self._part("throughput", lambda: throughput(self._deployed, self._options.seconds))
            if self._deployed.raised and set(_ALONE) & set(parts):
                self._deployed.make("down")
            given = self._options
            self._part("sandbox", lambda: sandbox(image, given.jobs, given.sandbox_seconds, given.backends))
        self._part("pauses", pauses)
        self._part("queue", lambda: queue_capacity(self._options.queue_seconds))
        self._part("images", lambda: _images(self._options.rebuilt))
        self._part("scaling", scaling)

    @contextmanager
    def _kept_image(self, up: bool) -> Generator[str]:
        """The sandbox image under a name of this run's own, so that it outlasts the deployed fleet."""
        if self._image is None and not up:
            yield ""
            return
        client = docker.from_env()
        try:
            found = client.images.get(self._image or self._deployed.sandbox_image())
        except ImageNotFound:
            raise SystemExit(f"--image: there is no image {self._image} here; leave it out to deploy a fleet") from None
        tag = f"bench-{secrets.token_hex(4)}"
        found.tag("agent-fleet/sandbox", tag)
        try:
            yield str(found.id)
        finally:
            client.images.remove(f"agent-fleet/sandbox:{tag}")
            client.close()

    def _beside(self, oci: Processes | None, image: str) -> None:
        options = self._options
        connect: dict[str, Callable[[], Client]] = {}
        served: list[Served] = []
        if "docker" in options.backends:
            connect["docker"] = self._deployed.client
            served.append(Served("docker", self._deployed.port, self._deployed.key))
        if oci is not None:
            connect["oci"] = oci.client
            served.append(Served("oci", oci.ports[0], oci.key))

        def arrive() -> Iterable[Figure]:
            for each in served:
                yield from arrivals(each, options.arrival_seconds, tuple(options.patterns), options.refill_seconds)

        self._part("latency", lambda: latency(connect, image, options.jobs))
        self._part("quiet", lambda: after_quiet(connect, options.quiet_rounds, options.quiet_seconds))
        self._part("arrivals", arrive)

    def _part(self, part: str, measure: Callable[[], Iterable[Figure]]) -> None:
        """Measure a part, if it is wanted; what was measured before an interruption is kept."""
        if part not in self._options.only:
            return
        on, version = machine(), commit()
        print(f"{part}:", flush=True)
        names: list[str] = []
        for figure in measure():
            keep([figure], part, on, version)
            names.append(figure.figure)
            against = f"; {figure.compared_with} {figure.compared_value:.4g}" if figure.compared_value else ""
            bar = "" if figure.bar is None else f"; bar {figure.bar:g} {'kept' if figure.bar_met else 'MISSED'}"
            print(f"  {figure.figure}: {figure.value:.4g} {figure.unit}{against}{bar}", flush=True)
        given = self._options
        chosen = (
            [(given.rebuilt, _REBUILT)]
            if part == "images"
            else [(given.backends, BACKENDS), (given.patterns, PATTERNS)]
        )
        if all(some == list(every) for some, every in chosen):
            drop_others(part, names)


def _images(rebuilt: list[str]) -> Iterable[Figure]:
    # Only now: the stand-ins' part of Pulumi takes the whole one's place where it is loaded first.
    from benchmarks.image_times import image_times

    return image_times(rebuilt)


def main() -> None:
    """Measure what was asked for."""
    options = _options()
    _check(options)
    end_in_order(options.limit_minutes)
    if quiet_load() > 0.5:
        print(f"The machine is busy (load {os.getloadavg()[0]:.1f}): the figures will be about that as well.")
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder)) as deployed:
        _Bench(options, deployed).run()


if __name__ == "__main__":
    main()
