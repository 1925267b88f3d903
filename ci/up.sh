#!/usr/bin/env bash
# One stack's update in CI, after somebody approved its preview: ci/up.sh <stack> <folder of the approved report>
#
# Previews again first, and changes nothing where the plan is not the approved one any more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stack=$1
approved=$2

now=$(mktemp -d)
trap 'rm -rf "$now"' EXIT
# The run's summary and outputs are the approved plan's.
env -u GITHUB_STEP_SUMMARY -u GITHUB_OUTPUT FLEET_UPDATE_PLAN=false ci/preview.sh "$stack" "$now"
.venv/bin/python ci/same_changes.py "$approved/preview.json" "$now/preview.json"

told() {
    printf '\n%s\n%s\n' "The update of $stack did not end well. Its next run goes on where this one stopped." \
        "If that says that the state is locked: make state-unlock STACK=$stack (docs/ci.md, A lock that stays)." >&2
}
options=(--stack "$stack")
if [ -f "$approved/plan.json" ]; then options+=(--plan "$approved/plan.json"); fi
.venv/bin/python -m engine up "${options[@]}" || { status=$?; told; exit "$status"; }
