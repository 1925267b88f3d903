#!/usr/bin/env bash
# Every stack of the checkout held against the policies, without an account: ci/check.sh <folder for the reports>
#
# Ends with 0, 1 (broken) or 3 (a mandatory rule is violated, or something was not judged). On GitHub the reports go to the run's
# summary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$1

make environment
status=0
.venv/bin/python -m engine check --report "$folder" || status=$?
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    for report in "$folder"/*/preview.md; do
        if [ -f "$report" ]; then cat "$report" >> "$GITHUB_STEP_SUMMARY"; fi
    done
fi
exit "$status"
