#!/bin/sh
# Makes .venv: the Python environment that everything else runs in. Needs python3 3.11 to 3.13 and nothing else.
#
# A pinned uv comes from PyPI into an environment of its own under the user's cache; it installs what uv.lock says.
# Quick when nothing is to do: a stamp in .venv names the lock files that it was made from. An interrupted run leaves no
# stamp, and the next one goes on from what is there.
set -eu

uv_version=0.13.8
root=$(cd "$(dirname "$0")/.." && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/agent-fleet"
tools="$cache/uv/$uv_version"
environment="$root/.venv"
stamp="$environment/.agent-fleet-stamp"

say() { printf '%s\n' "$*"; }
fail() {
    # The first argument is what was found, the others what to do.
    printf '\n%s\n' "$1" >&2
    shift
    for line in "$@"; do printf '%s\n' "$line" >&2; done
    exit 1
}

# The locks, the tool's version and the place: a checkout that was moved has scripts that point to nowhere.
wanted=$(
    { printf '%s %s\n' "$uv_version" "$root"; cat "$root/uv.lock" "$root/pyproject.toml" "$root"/client/pyproject.toml \
        "$root"/components/pyproject.toml "$root"/images/runtime/pyproject.toml; } | cksum
)
# One made from a bundle has all but what tests need.
ready() {
    [ -x "$environment/bin/python" ] && [ -x "$environment/bin/uv" ] || return 1
    found=$(cat "$stamp" 2>/dev/null || true)
    [ "$found" = "$wanted" ] || [ "$found" = "$wanted bundle" ]
}
if ready; then exit 0; fi

# A python3 that will do: the one on PATH first, then by name. A virtual environment's own Python is as good as any.
python=
seen=
for name in python3 python3.13 python3.12 python3.11; do
    found=$(command -v "$name" 2>/dev/null) || continue
    version=$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    case $version in
        3.11 | 3.12 | 3.13)
            python=$found
            break
            ;;
        *) seen="$seen $name is $version." ;;
    esac
done
[ -n "$python" ] || fail "There is no Python 3.11, 3.12 or 3.13 on PATH.${seen:+$seen}" \
    "On Debian 12, Ubuntu 24.04 or newer: apt-get install python3 python3-venv. Elsewhere: https://www.python.org/downloads/"

mkdir -p "$cache/uv"
log="$cache/uv/bootstrap.log"

# One at a time: two runs would write the same environment. mkdir is the lock that every system has.
lock="$root/.fleet/locks/bootstrap"
mkdir -p "$root/.fleet/locks"
waited=
until mkdir "$lock" 2>/dev/null; do
    holder=$(cat "$lock/pid" 2>/dev/null || true)
    if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
        rm -rf "$lock" # its holder was killed
        continue
    fi
    if [ -z "$holder" ] && [ "${waited:-0}" -ge 5 ]; then
        rm -rf "$lock" # killed between making the folder and writing into it
        continue
    fi
    [ -n "$waited" ] || say "Another run is making .venv: waiting for it."
    waited=$((${waited:-0} + 1))
    sleep 1
done
printf '%s\n' "$$" > "$lock/pid"
trap 'rm -rf "$lock"' EXIT
trap 'exit 130' INT TERM HUP
if ready; then exit 0; fi

network_failed() {
    reason=$(grep -iE 'error|failed|could not|no matching' "$log" | tail -n 1)
    fail "Python packages could not be installed: ${reason:-no reason was given}" \
        "The whole output is in $log." \
        "Check that this machine reaches PyPI (or the index that PIP_INDEX_URL and UV_INDEX_URL name), and that its certificates" \
        "are known (SSL_CERT_FILE) if a proxy inspects TLS. Then run the command again: what has been downloaded is kept."
}

# BUNDLE: everything comes from that archive, checked before anything is changed, and nothing from a network.
unpacked=
if [ -n "${BUNDLE:-}" ]; then
    unpacked=$("$python" "$root/engine/bundle/archive.py" "$BUNDLE" "$root") || exit 1
    export PIP_NO_INDEX=1 PIP_FIND_LINKS="$unpacked/wheels" PIP_CONFIG_FILE=/dev/null
fi

# uv, in an environment of its own: no --user, no --break-system-packages (PEP 668 stays respected).
if ! "$tools/bin/uv" --version >/dev/null 2>&1; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        if [ -z "$unpacked" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            package="python3-venv"
            [ "$python" = "$(command -v python3 2>/dev/null || true)" ] || package="$(basename "$python")-venv"
            say "Python has no venv module: installing $package with apt-get (you are root)."
            { apt-get -o DPkg::Lock::Timeout=120 update &&
                DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$package"
            } > "$log" 2>&1 < /dev/null || fail "apt-get could not install $package: $(tail -n 1 "$log")" "The whole output is in $log."
        else
            fail "Python ($python) has no venv module." \
                "On Debian or Ubuntu: sudo apt-get install python3-venv. Then run the command again."
        fi
    fi
    from=PyPI
    [ -z "$unpacked" ] || from="the bundle"
    say "Installing uv $uv_version from $from (20 MB) under $tools."
    rm -rf "$tools.part"
    "$python" -m venv "$tools.part" > "$log" 2>&1 || fail "python3 -m venv failed: $(tail -n 1 "$log")" "The whole output is in $log."
    "$tools.part/bin/python" -m pip install --disable-pip-version-check --no-input "uv==$uv_version" > "$log" 2>&1 || network_failed
    # pip's scripts name the folder that they were made in; uv's own program does not care where it stands.
    rm -rf "$tools"
    mv "$tools.part" "$tools"
fi

# uv trusts a list of its own; these make it trust what this machine and pip do.
if [ -z "${SSL_CERT_FILE:-}" ]; then
    for bundle in "${PIP_CERT:-}" "${REQUESTS_CA_BUNDLE:-}"; do
        if [ -n "$bundle" ] && [ -f "$bundle" ]; then
            SSL_CERT_FILE=$bundle
            export SSL_CERT_FILE
            break
        fi
    done
fi
export UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true
# The pip settings that a company sets for its mirror hold for uv as well.
[ -n "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ] || [ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="$PIP_INDEX_URL"

if [ -d "$environment" ] && ! "$environment/bin/python" -c '' 2>/dev/null; then
    say "Removing .venv, which does not run (half made, or its Python is gone)."
    rm -rf "$environment"
fi
rm -f "$stamp"
if [ -n "$unpacked" ]; then
    say "Installing the project's Python packages into .venv from the bundle."
    from_bundle() {
        "$tools/bin/uv" pip install --offline --no-config --no-index --find-links "$unpacked/wheels" --no-deps --no-progress \
            --python "$environment/bin/python" "$@"
    }
    cd "$root"
    requirements="$environment/bundle-requirements.txt"
    {
        "$tools/bin/uv" venv --offline --no-config --allow-existing --python "$python" "$environment" &&
            "$tools/bin/uv" export --quiet --frozen --offline --no-dev --no-emit-workspace --no-annotate --no-header \
                --package agent-fleet-project --package agent-fleet-client --output-file "$requirements" &&
            from_bundle --require-hashes -r "$requirements" &&
            from_bundle -e components -e client
    } > "$log" 2>&1 || fail "The bundle's Python packages could not be installed: $(tail -n 1 "$log")" \
        "The whole output is in $log. README.md in the bundle says which Python it is for; this is $version."
    ln -sf "$tools/bin/uv" "$environment/bin/uv"
    printf '%s bundle' "$wanted" > "$stamp"
    say "The Python environment is ready."
    exit 0
fi
say "Installing the project's Python packages into .venv (about 400 MB on the first run; minutes on a slow network)."
cd "$root"
env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT="$environment" "$tools/bin/uv" sync --frozen --python "$python" --no-progress > "$log" 2>&1 || network_failed
# For Pulumi's language host and for Go's installation: the same uv where the environment is.
ln -sf "$tools/bin/uv" "$environment/bin/uv"
printf '%s' "$wanted" > "$stamp"
say "The Python environment is ready."
