"""The user data of every host that is shipped, before it boots: cloud-init's own schema, and how it is set up."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import queue_fleet
import test_host_stack
from agent_fleet.systemd.host_plan import DOCKER_PACKAGES, METRICS_PACKAGE, SETUP_UNIT
from recording import FLEET

SCHEMA = Path(__file__).parent / "cloud_init_schema" / "cloud-config-22.4.2.json"
"""Debian 12's, which boots in `make soak`; Amazon Linux 2023 has 22.2.2."""
_BEGIN = "#cloud-config\n"


def user_data() -> dict[str, str]:
    """What the hosts of `dev` and `staging` are told, by host."""
    queue = queue_fleet.deployed(False)
    instance = test_host_stack.declared(False).one(test_host_stack.INSTANCE, FLEET)
    return {
        "dev": test_host_stack.user_data(instance),
        **{
            f"staging-{each.name}": _BEGIN + json.dumps(queue_fleet.document(each))
            for each in queue.of_type(queue_fleet.TEMPLATE)
        },
    }


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    """The same, declared once."""
    return user_data()


def checked(*files: Path) -> subprocess.CompletedProcess[str]:
    """What the schema says of them."""
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(SCHEMA), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_cloud_inits_own_schema_passes_the_user_data_of_every_host(told: dict[str, str], tmp_path: Path) -> None:
    """cloud-init passes over a part that it cannot read, and the host comes up without what it says."""
    assert len(told) == 4
    files = [tmp_path / f"{name}.yaml" for name in told]
    for file, text in zip(files, told.values(), strict=True):
        file.write_text(text)
    done = checked(*files)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = json.loads(told["dev"].removeprefix(_BEGIN))
    wrong["write_files"][0]["permission"] = wrong["write_files"][0].pop("permissions")
    files[0].write_text(json.dumps(wrong))
    assert "permission" in checked(files[0]).stdout


def test_every_part_of_the_user_data_is_one_that_cloud_init_has(told: dict[str, str]) -> None:
    """The schema lets a misspelt part pass, since a distribution may have parts of its own."""
    schema: dict[str, Any] = json.loads(SCHEMA.read_text())
    known = {name for each in schema["$defs"].values() for name in each.get("properties", {})}
    for name, text in told.items():
        assert text.startswith(_BEGIN), name
        assert set(json.loads(text.removeprefix(_BEGIN))) <= known, name


def test_what_the_units_need_is_installed_before_they_start_and_asked_for_until_it_is_there(
    told: dict[str, str],
) -> None:
    """cloud-init asks for packages once: without an answer the host would stay as it is, and run nothing."""
    for text in told.values():
        written = json.loads(text.removeprefix(_BEGIN))["write_files"]
        units = {each["path"].rpartition("/")[2]: each["content"] for each in written if "/systemd/" in each["path"]}
        steps = [line.partition("=")[2] for line in units[SETUP_UNIT].splitlines() if line.startswith("ExecStart=")]
        assert steps[0].split()[1:] == [*DOCKER_PACKAGES, METRICS_PACKAGE]
        assert steps[-1].endswith("start --no-block agent-fleet.target")
        assert [step for step in steps if step.startswith("-")] == [step for step in steps if "-agent-ctl" in step]
        assert {"Restart=on-failure", "StartLimitIntervalSec=0"} <= set(units[SETUP_UNIT].splitlines())
        assert SETUP_UNIT not in units["agent-fleet.target"]
