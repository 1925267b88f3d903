"""Which target a stack's settings name."""

from collections.abc import Mapping
from typing import Any

from engine import configuration
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.targets.docker_host import DockerHost
from engine.targets.ec2 import Ec2
from engine.targets.eks import Eks
from engine.targets.existing_cluster import ExistingCluster
from engine.targets.target import Target


def of_settings(session: Session, settings: Mapping[str, Any]) -> Target:
    """The target of checked settings."""
    match settings.get("architecture", "vm"), settings.get("target"):
        case "cluster", "eks":
            return Eks(session, settings)
        case "cluster", _:
            return ExistingCluster(session, settings)
        case ("queue", _) | (_, "ec2"):
            return Ec2(session, settings)
        case _:
            return DockerHost(session)


def of_stack(session: Session) -> Target:
    """The target of a stack as it was deployed last, or else as its settings file has it."""
    paths = session.paths
    for path in (paths.configuration(session.stack), paths.tracked_configuration(session.stack)):
        if path.is_file():
            try:
                if settings := configuration.fleet_settings(path):
                    return of_settings(session, settings)
            except UserFacingError:
                continue  # what is no YAML any more must not keep a fleet from being removed
    if session.state.holds("kubernetes"):
        return ExistingCluster(session, {})
    return Ec2(session, {}) if session.state.holds("aws") else DockerHost(session)
