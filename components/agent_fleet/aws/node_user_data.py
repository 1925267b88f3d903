"""User data of the nodes: settings for nodeadm, and gVisor for those that run untrusted work.

Nodes are EKS's Amazon Linux 2023, whose nodeadm joins them to the cluster after cloud-init has run the scripts here:
https://awslabs.github.io/amazon-eks-ami/nodeadm/. EKS adds the cluster's own details as one more part.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import pulumi

from agent_fleet.aws.cluster_args import RunscArgs
from agent_fleet.sandbox_spec import whole_number

LOG_MAX_SIZE = "10Mi"
LOG_MAX_FILES = 3
RUNTIME_HANDLER = "runsc"
"""The handler that a RuntimeClass names."""
SYSTEM_POD_PIDS_LIMIT = 4096
"""For pods of our own and of the platform: a leak stops at its pod, and no proper program comes near it."""

_BOUNDARY = "==agent-fleet=="
_SHA256 = re.compile(r"[0-9a-f]{64}")
_URI = re.compile(r"(s3|https)://[A-Za-z0-9._~/%+-]+")

_CONTAINERD = """\
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runsc]
runtime_type = "io.containerd.runsc.v1"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runsc.options]
TypeUrl = "io.containerd.runsc.v1.options"
ConfigPath = "/etc/containerd/runsc.toml"
"""
# The kubelet of these nodes drives cgroups through systemd, so gVisor must as well or its limits are not applied.
_RUNSC = """\
[runsc_config]
systemd-cgroup = "true"
"""
# A node that cannot verify gVisor must not join: the kubelet starts after this script, and not if the host is off.
_INSTALL = """\
#!/bin/bash
set -Eeuo pipefail
trap 'echo "gVisor could not be installed; this node must not join" >&2; systemctl poweroff --force' ERR
fetch() {{
  case "$1" in
    s3://*) aws s3 cp --only-show-errors "$1" "$2" ;;
    *) curl --fail --silent --show-error --location --proto '=https' --retry 5 --max-time 300 --output "$2" "$1" ;;
  esac
  echo "$3  $2" | sha256sum --check --status
  install --mode 0755 "$2" "/usr/local/bin/$4"
}}
folder=$(mktemp -d)
fetch '{runsc_uri}' "$folder/runsc" '{runsc_sha256}' runsc
fetch '{shim_uri}' "$folder/shim" '{shim_sha256}' containerd-shim-runsc-v1
rm -r "$folder"
mkdir -p /etc/containerd
cat >/etc/containerd/runsc.toml <<'END'
{configuration}END
"""


def system_user_data() -> pulumi.Output[str]:
    """For nodes of the fleet's own programs, in base64."""
    return pulumi.Output.from_input(_user_data(_node_config(SYSTEM_POD_PIDS_LIMIT, gvisor=False), None))


def untrusted_user_data(pod_pids_limit: pulumi.Input[int], runsc: RunscArgs | None) -> pulumi.Output[str]:
    """For nodes of untrusted work, in base64. A wrong checksum or URI fails when its value is known."""
    limit = pulumi.Output.from_input(whole_number(pod_pids_limit))
    if runsc is None:
        return limit.apply(lambda number: _user_data(_node_config(number, gvisor=False), None))
    given = pulumi.Output.all(
        runsc_uri=runsc["runsc_uri"],
        runsc_sha256=runsc["runsc_sha256"],
        shim_uri=runsc["shim_uri"],
        shim_sha256=runsc["shim_sha256"],
    )
    return pulumi.Output.all(limit, given).apply(
        lambda values: _user_data(_node_config(values[0], gvisor=True), install_script(values[1]))
    )


def install_script(runsc: Mapping[str, str]) -> str:
    """The script that installs gVisor. Raises ValueError for a checksum or a URI that is none."""
    for field, value in runsc.items():
        if field.endswith("_sha256") and not _SHA256.fullmatch(value):
            raise ValueError(f"runsc.{field}: {value!r} is no SHA-256; give its 64 lower-case hexadecimal digits.")
        if field.endswith("_uri") and not _URI.fullmatch(value):
            raise ValueError(f"runsc.{field}: {value!r} was given; give s3://bucket/key or https://host/path.")
    return _INSTALL.format(configuration=_RUNSC, **runsc)


def _node_config(pod_pids_limit: int, *, gvisor: bool) -> str:
    spec: dict[str, Any] = {
        "kubelet": {
            "config": {
                "podPidsLimit": pod_pids_limit,
                "containerLogMaxSize": LOG_MAX_SIZE,
                "containerLogMaxFiles": LOG_MAX_FILES,
            }
        }
    }
    if gvisor:
        spec["containerd"] = {"config": _CONTAINERD}
    # JSON is YAML, and needs no library to be written.
    return json.dumps({"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": spec}, indent=2)


def _user_data(node_config: str, script: str | None) -> str:
    parts = [("application/node.eks.aws", node_config)]
    if script is not None:
        parts.append(('text/x-shellscript; charset="us-ascii"', script))
    lines = ["MIME-Version: 1.0", f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"', ""]
    for kind, text in parts:
        lines += [f"--{_BOUNDARY}", f"Content-Type: {kind}", "", text, ""]
    lines += [f"--{_BOUNDARY}--", ""]
    return base64.b64encode("\n".join(lines).encode()).decode()
