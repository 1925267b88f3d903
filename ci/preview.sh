#!/usr/bin/env bash
# One stack's preview in CI, with its report: ci/preview.sh <stack> <folder>
#
# Ends with 0 (clean, changed or not), 1 (broken) or 3 (a mandatory rule is violated, or something was not judged). On GitHub the
# report goes to the run's summary, and `changed=true` or `false` to the step's outputs. With FLEET_UPDATE_PLAN=true the engine's update
# plan, which is experimental, is kept beside the report; ci/up.sh then holds the update to it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stack=$1
folder=$2

make environment
options=(--stack "$stack" --report "$folder" --detailed-exit-code)
if [ "${FLEET_UPDATE_PLAN:-}" = true ]; then options+=(--save-plan); fi
status=0
.venv/bin/python -m engine preview "${options[@]}" || status=$?
if [ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -f "$folder/preview.md" ]; then
    cat "$folder/preview.md" >> "$GITHUB_STEP_SUMMARY"
fi
case $status in
    0) changed=false ;;
    2) changed=true ;;
    *) exit "$status" ;;
esac
if [ -n "${GITHUB_OUTPUT:-}" ]; then echo "changed=$changed" >> "$GITHUB_OUTPUT"; fi
