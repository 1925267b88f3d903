#!/usr/bin/env bash
# What exists against what the state says, in CI: ci/drift.sh <stack> <file for what was found>
#
# Changes nothing. Ends with 0 (no drift), 2 (drift) or 1 (broken).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stack=$1
found=$2

make environment
mkdir -p "$(dirname "$found")"
.venv/bin/python -m engine drift --stack "$stack" --detailed-exit-code 2>&1 | tee "$found"
