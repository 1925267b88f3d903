"""`python -m engine <command>`: what the Makefile calls."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from engine.commands.judging import check, drift, preview
from engine.commands.options import config_option, session, stack_option
from engine.errors import UserFacingError
from engine.paths import CHECKOUT, Paths
from engine.pulumi_cli import Interrupted

_INTERRUPTED = 130  # as shells report SIGINT


@click.group()
def cli() -> None:
    """Deploys and runs the fleet; see `make`."""


_bundle_option = click.option(
    "--bundle", envvar="BUNDLE", type=click.Path(path_type=Path), help="Install from this archive, without a network."
)


@cli.command()
@stack_option
@config_option
@_bundle_option
@click.option(
    "--plan", envvar="PLAN", type=click.Path(path_type=Path), help="Do only what this plan of a preview says."
)
def up(stack: str, settings: Path | None, bundle: Path | None, plan: Path | None) -> None:
    """Deploy a stack and run a first job."""
    from engine.commands.up import up as run

    run(session(stack, settings), settings, bundle, plan)


@cli.command()
@stack_option
@click.option("--force", is_flag=True, help="Remove also what this checkout did not deploy or cannot reach.")
def down(stack: str, force: bool) -> None:
    """Remove a stack and everything that it made."""
    from engine.commands.down import down as run

    run(session(stack), force=force)


cli.add_command(preview)
cli.add_command(check)
cli.add_command(drift)


@cli.command()
@stack_option
def status(stack: str) -> None:
    """Show what runs, whether it is ready, and where."""
    from engine.commands.status import status as run

    if not run(session(stack)):
        sys.exit(1)


@cli.command()
@stack_option
@click.option("--role", default=None, envvar="ROLE", help="api, worker, sandboxd, sandbox, database; all if not given.")
@click.option("--team", default=None, envvar="TEAM", help="One team's containers, in a cluster; all if not given.")
@click.option("--lines", default=50, help="How many of the last lines of each.")
@click.option("--follow/--no-follow", default=True, help="Go on until Ctrl-C.")
def logs(stack: str, role: str | None, team: str | None, lines: int, follow: bool) -> None:
    """Show the logs of the fleet's containers."""
    from engine.commands.logs import logs as run

    run(session(stack), role=role, team=team, lines=lines, follow=follow)


@cli.command()
@stack_option
@config_option
def shell(stack: str, settings: Path | None) -> None:
    """Open a shell in which plain `pulumi` works on a stack."""
    from engine.commands.shell import shell as run

    run(session(stack, settings), settings)


@cli.command("state-bootstrap")
@stack_option
@config_option
@click.option("--bucket", default="", envvar="BUCKET", help="The bucket's name, where the settings have none yet.")
def state_bootstrap(stack: str, settings: Path | None, bucket: str) -> None:
    """Put a stack's state on S3, its secrets under a key of KMS."""
    from engine.commands.state import bootstrap as run

    run(session(stack, settings), settings, bucket)


@cli.command("state-unlock")
@stack_option
@click.option("--yes", is_flag=True, envvar="YES", help="Remove without asking.")
def state_unlock(stack: str, yes: bool) -> None:
    """Explain a stack's locks, and remove stale ones."""
    from engine.commands.state import unlock as run

    run(session(stack), lambda question: yes or click.confirm(question, err=True))


@cli.command()
def prepare() -> None:
    """Make ready what the tests need: Docker, the base image, the engine."""
    from engine.commands.prepare import prepare as run

    run(session("local"))


@cli.command()
@_bundle_option
def cluster(bundle: Path | None) -> None:
    """Start a one-node Kubernetes on this machine."""
    from engine.commands.cluster import cluster as run

    run(session("local-cluster"), bundle)


@cli.command("cluster-down")
def cluster_down() -> None:
    """Remove the one-node Kubernetes with everything in it."""
    from engine.commands.cluster import cluster_down as run

    run(session("local-cluster"))


@cli.command("cluster-images")
@stack_option
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="The cluster's; as kubectl chooses."
)
@click.option("--context", default=None, help="The context in it; the current one if not given.")
@_bundle_option
def cluster_images(stack: str, kubeconfig: Path | None, context: str | None, bundle: Path | None) -> None:
    """Give an existing cluster's nodes the images that this machine's Docker has."""
    from engine.commands.cluster_images import cluster_images as run

    run(session(stack), kubeconfig, context, bundle)


@cli.command()
def images() -> None:
    """Build, verify, describe and sign the images; REGISTRY, VERSION, PUSH, NO_CACHE, ONLY and KEY say how."""
    from engine.commands.images import images as run

    run(session("local"), os.environ)


@cli.command("images-key")
def images_key() -> None:
    """Make the pair of keys that images are signed with; KEY says where."""
    from engine.commands.images import make_signing_key as run

    run(os.environ.get("KEY", ""))


@cli.command()
@click.option(
    "--image", default="", envvar="IMAGE", help="References, comma-separated; all of images.toml if not given."
)
@click.option("--version", default="dev", envvar="VERSION", help="The tag of the images of images.toml; dev.")
@click.option("--osv", default=None, envvar="OSV", type=click.Path(path_type=Path), help="OSV's database: a folder.")
@click.option("--configuration", "only_configuration", is_flag=True, help="Dockerfiles and workflows, no image.")
def scan(image: str, version: str, osv: Path | None, only_configuration: bool) -> None:
    """Look for what is wrong with images, Dockerfiles and workflows."""
    from engine.commands.scan import scan as run

    if not run(image, version or "dev", osv, only_configuration=only_configuration):
        sys.exit(1)


@cli.command("bundle")
def write_bundle() -> None:
    """Write one archive with everything that an install needs."""
    from engine.commands.bundle import bundle as run

    run(session("local"), os.environ)


@cli.command("compose")
@click.option("--check", is_flag=True, help="Only say whether compose.yaml is what the workloads make.")
def compose(check: bool) -> None:
    """Write compose.yaml anew from the fleet's workloads."""
    from engine.commands.compose import compose as run

    if not run(check=check):
        sys.exit(1)


@cli.command()
@stack_option
@config_option
@click.option("--platform", default="", envvar="PLATFORM", help="fly or modal.")
@click.option("--out", default=None, envvar="OUT", type=click.Path(path_type=Path), help="The folder to write.")
@click.option("--region", default="", envvar="REGION", help="Fly's region, such as ams.")
def export(stack: str, settings: Path | None, platform: str, out: Path | None, region: str) -> None:
    """Write what runs the fleet on a managed platform."""
    from engine.commands.export import export as run

    run(session(stack), settings, platform, out, region)


@cli.command()
@click.option("--from", "origin", default="", envvar="FROM", help="A stack, a release's JSON file, or images.")
@click.option("--to", "target", default="", envvar="TO", help="The stack whose settings get the digests.")
@click.option("--key", default=None, envvar="KEY", type=click.Path(path_type=Path), help="The public key that signed.")
@click.option("--dry-run", is_flag=True, envvar="DRY_RUN", help="Verify and show, and write nothing.")
def promote(origin: str, target: str, key: Path | None, dry_run: bool) -> None:
    """Write the verified digests of one stack into the next one's settings."""
    from engine.commands.promote import promote as run

    run(Paths(), origin, target, key, dry_run=dry_run)


def _log_unexpected() -> Path:
    path = Paths().logs / "unexpected-error.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{' '.join(sys.argv)}\n{traceback.format_exc()}")
    return path


def _tell(error: UserFacingError) -> None:
    click.secho(f"\n{error.message}", fg="red", err=True)
    if error.remedy:
        click.echo(error.remedy, err=True)


def run(command: Callable[..., Any]) -> int:
    """Run a command; return its exit code. Every error is told in a few lines, none with its stack trace."""
    try:
        command(standalone_mode=False)
    except UserFacingError as error:
        _tell(error)
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, Interrupted, click.Abort):
        click.echo("\nInterrupted. Running the command again goes on from here.", err=True)
        return _INTERRUPTED
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except Exception as error:
        path = _log_unexpected()
        _tell(
            UserFacingError(
                f"Something unforeseen went wrong: {type(error).__name__}: {error}",
                f"The details are in {path}. Running the command again is safe.",
            )
        )
        return 1
    return 0


def main() -> None:
    """End with 0, 1, or 130 after an interruption."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    os.chdir(CHECKOUT)
    sys.exit(run(cli))


if __name__ == "__main__":
    main()
