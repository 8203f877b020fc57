#!/usr/bin/env bash
# Installs the built wheel alone, without extras, in a fresh environment, and runs a sweep there.
# Versions come from the lock; what is installed comes from the wheel's own dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
wheel=$(echo "$root"/.build/dist/podmap-[0-9]*.whl)
venv=$root/.build/core
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

.venv/bin/uv venv --quiet --clear --python .venv/bin/python "$venv"
.venv/bin/uv pip install --quiet --python "$venv/bin/python" --constraints requirements/dev.lock "$wheel"
cd "$work"
for extra in airflow kubernetes_asyncio optuna pandas plotly pyarrow podmap_trial; do
  if "$venv/bin/python" -c "import $extra" 2>/dev/null; then
    echo "core alone: $extra is there, but the core must not bring it" >&2
    exit 1
  fi
done
"$venv/bin/podmap" --help >/dev/null
cat >sweep.yaml <<'YAML'
apiVersion: podmap/v1
name: core-alone
search: {kind: grid, params: {x: {low: 0, high: 3}}}
objective: {metric: y, direction: maximize}
trial:
  command: [sh, -c]
  args: ['printf "{\"y\": %s}" "$1" >"$PODMAP_RESULT"', sh, "{params.x}"]
parallelism: 2
YAML
"$venv/bin/podmap" run sweep.yaml --backend process --store "$work/store" >"$work/out"
complete=$(grep -l '"state": *"COMPLETE"' store/core-alone/*/trials/*.json | wc -l)
if [ "$complete" != 4 ]; then
  cat "$work/out" >&2
  echo "core alone: $complete of 4 trials are COMPLETE" >&2
  exit 1
fi
echo "core alone: $("$venv/bin/podmap" --version 2>/dev/null || echo podmap) ran 4 trials"
