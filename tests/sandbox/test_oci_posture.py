"""Both renderings of a sandbox's posture against each other, and what a host must have, without making a sandbox."""

import os
from pathlib import Path
from typing import Any

import docker
import pytest
from fleet_runtime.sandboxd import oci_host
from fleet_runtime.sandboxd.config import OciSettings, SandboxTemplate
from fleet_runtime.sandboxd.docker_posture import container_config
from fleet_runtime.sandboxd.oci_cgroups import ControlGroups
from fleet_runtime.sandboxd.oci_config import Program, bundle_config
from fleet_runtime.sandboxd.oci_host import host_problem
from fleet_runtime.sandboxd.oci_seccomp import seccomp
from hypothesis import given
from hypothesis import strategies as st

MEBIBYTE = 1024 * 1024
PROGRAM = Program(Path("/images/x/rootfs"), ("PATH=/bin",))
CONTROLLERS = frozenset({"cpu", "memory", "pids"})


@st.composite
def templates(draw: st.DrawFn) -> SandboxTemplate:
    """Any template."""
    scratch = draw(st.integers(1, 512)) * MEBIBYTE
    return SandboxTemplate(
        image="sha256:" + "0" * 64,
        memory_bytes=scratch + draw(st.integers(64, 4096)) * MEBIBYTE,
        scratch_bytes=scratch,
        cpus=draw(st.sampled_from([0.1, 0.25, 0.5, 1.0, 2.5, 16.0])),
        pids=draw(st.integers(16, 4096)),
        egress=draw(st.booleans()),
    )


def rendered(template: SandboxTemplate) -> tuple[dict[str, Any], dict[str, Any]]:
    """As Docker and as an OCI runtime is told it; Docker itself is not asked."""
    client = docker.APIClient("unix:///nowhere", version="1.41")
    by_docker = container_config(client, "fleet", "name", template, Path("/egress"))
    client.close()
    by_runtime = bundle_config(
        template, PROGRAM, cgroup="/fleet/name", first_uid=1_000_000, oom_score=0, egress_folder=Path("/egress/name")
    )
    return by_docker, by_runtime


@given(templates())
def test_docker_and_the_runtime_are_told_the_same(template: SandboxTemplate) -> None:
    """A limit that one backend lacks is one that half of the fleet's hosts do not keep."""
    by_docker, by_runtime = rendered(template)
    host, process, linux = by_docker["host_config"], by_runtime["process"], by_runtime["linux"]
    resources = linux["resources"]
    user = process["user"]
    assert by_docker["user"] == f"{user['uid']}:{user['gid']}"
    assert (by_docker["hostname"], by_docker["working_dir"]) == (by_runtime["hostname"], process["cwd"])
    assert (host["Memory"], host["MemorySwap"]) == (resources["memory"]["limit"], resources["memory"]["swap"])
    assert host["PidsLimit"] == resources["pids"]["limit"]
    assert host["NanoCpus"] / 1e9 == resources["cpu"]["quota"] / resources["cpu"]["period"]
    assert host["ReadonlyRootfs"] is by_runtime["root"]["readonly"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not any(process["capabilities"].values())
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert process["noNewPrivileges"] is True
    limits = {each["type"]: (each["soft"], each["hard"]) for each in process["rlimits"]}
    assert {f"RLIMIT_{each['Name'].upper()}": (each["Soft"], each["Hard"]) for each in host["Ulimits"]} == limits
    mounts = {each["destination"]: each for each in by_runtime["mounts"]}
    for path, options in host["Tmpfs"].items():
        assert mounts[path]["type"] == "tmpfs"
        assert set(options.split(",")) | {"rprivate"} == set(mounts[path]["options"])
    bound = {mount["Target"]: mount["Source"] for mount in host.get("Mounts") or []}
    assert {path: each["source"] for path, each in mounts.items() if each["type"] == "bind"} == bound
    assert all("ro" in each["options"] for each in mounts.values() if each["type"] == "bind")


def test_every_sandbox_has_namespaces_of_its_own() -> None:
    """One that is shared is a way to what others have there: the network above all."""
    _, by_runtime = rendered(SandboxTemplate(image="x", memory_bytes=64 * MEBIBYTE, scratch_bytes=MEBIBYTE))
    assert {each["type"] for each in by_runtime["linux"]["namespaces"]} == {
        "cgroup",
        "ipc",
        "mount",
        "network",
        "pid",
        "user",
        "uts",
    }
    assert not any("path" in each for each in by_runtime["linux"]["namespaces"])


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_system_calls_that_docker_keeps_for_the_privileged_are_refused(machine: str) -> None:
    """The profile is data: one condition misread would let every job mount, trace or load."""
    profile = seccomp(machine)
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert {"read", "write", "openat", "execve", "futex"} <= allowed
    privileged = {"mount", "umount2", "bpf", "setns", "unshare", "init_module", "reboot", "open_by_handle_at", "chroot"}
    assert not allowed & {*privileged, "keyctl", "add_key", "userfaultfd", "io_uring_setup", "clone3", "kexec_load"}
    (clone,) = (rule for rule in profile["syscalls"] if rule["names"] == ["clone"])
    # No flag that makes a namespace: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
    assert clone["args"] == [{"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}]
    assert all(set(rule) <= {"names", "action", "errnoRet", "args"} for rule in profile["syscalls"])


def settings(state: Path, **changes: Any) -> OciSettings:
    """What the backend is told."""
    told: dict[str, Any] = {"state": state, "runtimes": {}, "user_namespaces": True, "first_uid": 1_000_000, **changes}
    return OciSettings(**told)


def test_a_host_that_lacks_something_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first start on a new host fails by one of these, and the log is all that there is to see."""
    monkeypatch.setattr("os.geteuid", lambda: 1001)
    assert "only root" in (host_problem(settings(tmp_path), CONTROLLERS) or "")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert "lack memory" in (host_problem(settings(tmp_path), CONTROLLERS - {"memory"}) or "")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert "lets only its owner through" in (host_problem(settings(closed / "state"), CONTROLLERS) or "")
    assert host_problem(settings(closed / "state", user_namespaces=False), CONTROLLERS) is None
    none = tmp_path / "max_user_namespaces"
    none.write_text("0\n")
    monkeypatch.setattr(oci_host, "_USER_NAMESPACES", none)
    assert "FLEET_OCI_USER_NAMESPACES=false" in (host_problem(settings(tmp_path), CONTROLLERS) or "")


def unified(tmp_path: Path) -> ControlGroups:
    """Control groups of version 2, as files."""
    root = tmp_path / "unified"
    root.mkdir()
    (root / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"30 23 0:26 / {root} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
    return ControlGroups("/agent-fleet/test", mounts)


def test_version_2_of_the_control_groups_is_read_as_well(tmp_path: Path) -> None:
    """Most hosts have it by now."""
    groups = unified(tmp_path)
    assert groups.controllers >= CONTROLLERS
    own = tmp_path / "unified/agent-fleet/test/one"
    own.mkdir(parents=True)
    (own / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n")
    assert groups.names() == {"one"}
    assert groups.ran_out_of_memory("one") is False
    (own / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\noom_group_kill 0\n")
    assert groups.ran_out_of_memory("one") is True
    assert groups.ran_out_of_memory("another") is False


def test_an_empty_group_is_removed_and_its_parents_after_the_last(tmp_path: Path) -> None:
    """A host keeps nothing of a fleet that is gone."""
    groups = unified(tmp_path)
    for name in ("one", "two"):
        (tmp_path / "unified/agent-fleet/test" / name).mkdir(parents=True)
    groups.destroy("one")
    groups.leave()
    assert groups.names() == {"two"}
    groups.destroy("two")
    groups.destroy("two")
    groups.leave()
    assert not (tmp_path / "unified/agent-fleet").exists()


def test_a_process_that_cannot_be_seen_is_not_killed_as_ones_own_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel shows one of another PID namespace as 0: sandboxd would have killed itself, at every start anew."""
    groups, killed = unified(tmp_path), list[int]()

    def kill(number: int, _: int) -> None:
        killed.append(number)

    monkeypatch.setattr(os, "kill", kill)
    own = tmp_path / "unified/agent-fleet/test/one"
    own.mkdir(parents=True)
    (own / "cgroup.procs").write_text("0\n4194305\n")
    with pytest.raises(OSError, match="not empty"):
        groups.destroy("one")
    assert set(killed) == {4_194_305}
