#!/usr/bin/env bash
# Writes requirements/dev.lock: every package and hash for Python 3.10 and newer, on every platform.
# Without arguments the versions that are locked already stay; `--upgrade` takes the newest.
# The file names no index, so it works with whatever index or mirror pip and uv are set to use.
set -euo pipefail
cd "$(dirname "$0")/.."
lock=requirements/dev.lock
.venv/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
  --all-extras --group dev \
  "$@" --output-file "$lock" pyproject.toml >/dev/null
if grep -nE '://|^-' "$lock"; then
  echo "lock: $lock names a place to download from" >&2
  exit 1
fi
