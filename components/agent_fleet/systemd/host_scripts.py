"""The scripts of a host's units. They are the same on every host: what differs comes as arguments or is in the plan."""

INSTALL_PACKAGES = """\
#!/bin/sh
# Installs packages. A mirror that does not answer is asked again for some minutes; after that the unit begins anew.
set -eu
[ "$#" -gt 0 ] || exit 0
if command -v dnf >/dev/null; then
    install_packages() { rpm --query --quiet "$@" || timeout 300 dnf --assumeyes --quiet install "$@"; }
else
    export DEBIAN_FRONTEND=noninteractive
    install_packages() { timeout 120 apt-get -q update; timeout 300 apt-get -qy --no-install-recommends install "$@"; }
fi
attempt=1
until install_packages "$@"; do
    if [ "$attempt" -ge 6 ]; then
        echo "<3>These packages were not installed, and nothing runs without: $*. Does their mirror answer?" >&2
        exit 1
    fi
    echo "<4>These packages were not installed: $*. Attempt $attempt of 6, again in $((attempt * 10)) s." >&2
    sleep "$((attempt * 10))"
    attempt=$((attempt + 1))
done
"""

PULL = """\
#!/bin/sh
# Pulls an image by its content, unless it is there. The pause between attempts grows, over new starts of the unit too.
set -eu
export DOCKER_CONFIG=/etc/agent-fleet/docker
failures="/run/agent-fleet/not-pulled/${1##*:}"
docker image inspect "$1" >/dev/null 2>&1 && exit 0
mkdir -p /run/agent-fleet/not-pulled
attempt=1
until docker pull --quiet "$1"; do
    count=$(($(cat "$failures" 2>/dev/null || echo 0) + 1))
    echo "$count" >"$failures"
    pause=$((count * 3))
    [ "$pause" -le 120 ] || pause=120
    echo "<3>The image $1 could not be pulled, $count times so far; again in $pause s. Is it in the registry?" >&2
    sleep "$pause"
    # What waits for all images is not kept from starting for ever: each unit pulls its own again.
    [ "$attempt" -lt 8 ] || exit 1
    attempt=$((attempt + 1))
done
rm -f "$failures"
"""

WAIT_UNTIL_HEALTHY = """\
#!/bin/sh
# Asks a container's own probe until it says that all is well. The unit's start limit ends it.
set -eu
name=$1
shift
until docker exec "$name" "$@" >/dev/null 2>&1; do
    [ "$(docker inspect --format '{{.State.Running}}' "$name")" = true ] || exit 1
    sleep 1
done
"""

MOUNT_DATA = """\
#!/bin/sh
# Mounts the data volume, which is attached some time after the host has started. What has a file system keeps it.
set -eu
device=$1
folder=$2
waited=0
until [ -b "$device" ]; do
    [ "$waited" -lt 900 ] || { echo "$device was not attached within $waited s" >&2; exit 1; }
    sleep 1
    waited=$((waited + 1))
done
mkdir -p "$folder"
if ! mountpoint -q "$folder"; then
    found=0
    blkid --probe "$device" >/dev/null || found=$?
    # 2 is: nothing is on it. mkfs.xfs looks once more, and refuses where there is something.
    if [ "$found" -eq 2 ]; then mkfs.xfs -q "$device"; fi
    mount -o nodev,nosuid,noexec "$device" "$folder"
fi
# The volume may have grown.
xfs_growfs "$folder" >/dev/null
shift 2
while [ "$#" -ge 2 ]; do
    [ -d "$folder/$1" ] || install -d -m 0700 "$folder/$1"
    chown "$2" "$folder/$1"
    shift 2
done
"""

FETCH_SECRETS = """\
#!/usr/bin/python3
# Fetches one version of one secret, and leaves each workload's variables where its unit reads them.
import json, os, subprocess, sys, time

region, arn, version, folder = sys.argv[1:]
command = ["aws", "secretsmanager", "get-secret-value", "--region", region, "--secret-id", arn,
           "--version-id", version, "--output", "json"]
for attempt in range(1, 9):
    # What the command writes is the secret: only its errors may be seen.
    done = subprocess.run(command, stdout=subprocess.PIPE)
    if done.returncode == 0:
        break
    time.sleep(3 * attempt)
else:
    sys.exit("the secret could not be fetched")
found = json.loads(json.loads(done.stdout)["SecretString"])
os.makedirs(folder, mode=0o700, exist_ok=True)
for workload, variables in found.items():
    path = os.path.join(folder, workload + ".env")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(name + "=" + value + "\\n" for name, value in sorted(variables.items()))
"""

CLEAN_UP = """\
#!/bin/sh
# Removes what nothing uses any more: containers that ended a day ago, and images that the plan does not name.
set -eu
docker container prune --force --filter until=24h >/dev/null
kept=$(while read -r image; do docker image inspect --format '{{.Id}}' "$image" 2>/dev/null || true; done <"$1")
docker image ls --all --quiet --no-trunc | sort -u | while read -r image; do
    case "$kept" in *"$image"*) continue ;; esac
    # One that a container uses is not removed, and that is no fault.
    docker image rm "$image" >/dev/null 2>&1 || true
done
journalctl --quiet --vacuum-size=200M
"""
