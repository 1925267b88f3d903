"""A machine without a network: namespaces of its own with a Docker of its own, a fresh clone, an empty home."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

# Arguments: a folder for everything, then the command. The daemon's socket takes the usual one's place, in this mount
# namespace only: sandboxd mounts that path.
_SCRIPT = r"""
set -eu
folder=$1
shift
ip link set lo up
mkdir -p "$folder/run"
containerd --config "$folder/containerd.toml" --address "$folder/run/containerd.sock" --root "$folder/containerd" \
    --state "$folder/run/containerd" --log-level warn > "$folder/daemons.log" 2>&1 &
containerd=$!
dockerd --host "unix://$folder/run/docker.sock" --pidfile "$folder/run/pid" --containerd "$folder/run/containerd.sock" \
    --data-root "$folder/data" --exec-root "$folder/run/exec" --iptables=false --ip-forward=false --ip-masq=false \
    --log-level warn >> "$folder/daemons.log" 2>&1 &
dockerd=$!
finish() {
    status=$?
    trap - EXIT
    kill "$dockerd" 2>/dev/null || true
    wait "$dockerd" 2>/dev/null || true
    kill "$containerd" 2>/dev/null || true
    wait "$containerd" 2>/dev/null || true
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM
for _ in $(seq 300); do
    [ -S "$folder/run/docker.sock" ] && docker --host "unix://$folder/run/docker.sock" info >/dev/null 2>&1 && break
    kill -0 "$dockerd" || { cat "$folder/daemons.log"; exit 1; }
    sleep 0.2
done
mount --bind "$folder/run/docker.sock" /var/run/docker.sock
"$@"
"""


class AirGappedMachine:
    """Commands run in it one after another, each with the same Docker data, clone and home."""

    def __init__(self) -> None:
        """Make its folder and the clone; nothing is started."""
        # Not below the test's own folder: the path of a Unix socket may have 108 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="agent-fleet-offline-"))
        self.clone = self.folder / "clone"
        self.home = self.folder / "home"
        self.home.mkdir()
        (self.folder / "containerd.toml").write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", CHECKOUT, self.clone], check=True, timeout=120)

    def run(self, command: str, seconds: float) -> tuple[int, str]:
        """Run a shell command in the clone; its code and all that it said."""
        script = self.folder / "machine.sh"
        script.write_text(_SCRIPT)
        words = ["unshare", "--net", "--mount", "sh", str(script), str(self.folder), "sh", "-c", command]
        with subprocess.Popen(
            words,
            cwd=self.clone,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGTERM)
                output, _ = process.communicate(timeout=120)
                raise AssertionError(f"{command} had not ended after {seconds:.0f} s:\n{output}") from None
        return process.returncode, output

    def remove(self) -> None:
        """Remove its files; its processes ended with their commands."""
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if (mounted := line.split()[1]).startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", mounted], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
