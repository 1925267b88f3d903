"""The objects of every stack whose architecture is `cluster`, from the stacks' own settings files."""

from pathlib import Path
from typing import Any

import pulumi
import yaml
from declared_manifests import Manifest, declared
from stack_settings import read

from architectures import cluster
from settings.load import fleet_name

CHECKOUT = Path(__file__).resolve().parents[2]


def stacks() -> dict[str, list[Manifest]]:
    """Every object of each stack, by the stack's name."""
    found: dict[str, list[Manifest]] = {}
    for path in sorted(CHECKOUT.glob("Pulumi.*.yaml")):
        given: Any = yaml.safe_load(path.read_text(encoding="utf-8")).get("config", {}).get("agent-fleet:fleet", {})
        if given.get("architecture") == "cluster":
            name = path.name.split(".")[1]
            found[name] = declared(lambda name=name, given=given: _deploy(name, given), stack=name)
            if given.get("target") == "eks":
                full = _with_all_parts(given)
                found[f"{name}-full"] = declared(lambda name=name, full=full: _deploy(f"{name}-full", full), stack=name)
    return found


def _with_all_parts(given: dict[str, Any]) -> dict[str, Any]:
    """One team of it with mesh, queue scaling and nodes as needed, which its settings file leaves off."""
    name, team = next(iter(given["teams"].items()))
    pools = {
        agent_type: {**(pool or {}), "autoscaler": "keda", "minimum": 0} for agent_type, pool in team["pools"].items()
    }
    return {
        **given,
        "teams": {name: {**team, "pools": pools}},
        "platform": {"istio": "install", "keda": "install", "karpenter": "install", "gateway_api": "exists"},
    }


def _deploy(stack: str, given: dict[str, Any]) -> pulumi.Output[Any]:
    deployed = cluster.deploy(fleet_name(stack), read(given, stack=stack))
    return pulumi.Output.all(deployed.url, deployed.api_key)
