#!/usr/bin/env bash
# Runs the tests that need no Airflow with the oldest dependencies that pyproject.toml allows.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$PWD/.build/lowest
.venv/bin/uv venv --quiet --clear --python "${PYTHON:-.venv/bin/python}" "$venv"
.venv/bin/uv pip install --quiet --python "$venv/bin/python" --resolution lowest-direct \
  --editable '.[kubernetes,pandas,parquet]' --editable trial 'pytest>=8.2' 'hypothesis>=6.100'
exec "$venv/bin/python" -m pytest tests/unit tests/contract "$@"
