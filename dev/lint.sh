#!/usr/bin/env bash
# All checks that run nothing of podmap, the quick ones first.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
step() { printf '== %s\n' "$*"; }

step format
"$bin/ruff" format --check --quiet . || { echo "run: .venv/bin/ruff format" >&2; exit 1; }
step ruff
"$bin/ruff" check --quiet .
step spelling
"$bin/codespell"
step imports
"$bin/lint-imports" --no-cache
step types
"$bin/mypy"
