"""The queue architecture under mocks: as it is shipped, and with what a test changes."""

import base64
import gzip
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import pulumi
import yaml
from recording import FLEET, Declared, Recording, record
from stack_settings import read

from architectures import queue

PROJECT = Path(__file__).parent.parent.parent
GROUP = "aws:autoscaling/group:Group"
POLICY = "aws:autoscaling/policy:Policy"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
API, WORKERS = f"{FLEET}-api", f"{FLEET}-workers"
ON_DEMAND, SPOT = f"{WORKERS}-on-demand", f"{WORKERS}-spot"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
_BEGIN, _CONTENT = "#cloud-config\n", "write_files"


def shipped() -> dict[str, Any]:
    """The settings of the stack `staging`."""
    text = (PROJECT / "Pulumi.staging.yaml").read_text()
    return cast("dict[str, Any]", yaml.safe_load(text)["config"]["agent-fleet:fleet"])


def changed(**given: Any) -> dict[str, Any]:
    """The same with other values; a mapping changes what it names."""
    found = shipped()
    for name, value in given.items():
        own = found.get(name)
        found[name] = {**own, **value} if isinstance(own, dict) and isinstance(value, dict) else value
    return found


@cache
def _deployed(preview: bool, text: str) -> Recording:
    settings = read(json.loads(text))
    return record(lambda: pulumi.Output.all(**queue.deploy(FLEET, settings).outputs), preview=preview)


def deployed(preview: bool, **given: Any) -> Recording:
    """What the program declares, once for each mode and choice."""
    return _deployed(preview, json.dumps(changed(**given)))


def images(seed: str) -> dict[str, Any]:
    """Images on ECR."""
    return {"digests": {name: f"{ECR}/fleet/{name}@sha256:{seed * 64}" for name in ("runtime", "sandbox", "postgres")}}


def document(template: Declared) -> Mapping[str, Any]:
    """What a launch template's user data says to cloud-init."""
    data = base64.b64decode(template.inputs["userData"])
    text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode()
    assert text.startswith(_BEGIN)
    return cast("Mapping[str, Any]", json.loads(text.removeprefix(_BEGIN)))


def files(template: Declared) -> dict[str, str]:
    """The files of its hosts, units included."""
    return {each["path"]: each["content"] for each in document(template)[_CONTENT]}


def policy(recording: Recording, name: str) -> list[dict[str, Any]]:
    """The statements of a host's role."""
    text = recording.one("aws:iam/rolePolicy:RolePolicy", name).inputs["policy"]
    return cast("list[dict[str, Any]]", json.loads(text)["Statement"])
