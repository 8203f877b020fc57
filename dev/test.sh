#!/usr/bin/env bash
# Every check and test, cheap ones first; pytest's own summary is the last thing printed.
# The tests run against the built wheels, not against src/. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
step() { printf '== %s\n' "$*"; }

find_postgres() {
  local place
  for place in $(command -v initdb) /usr/lib/postgresql/*/bin/initdb; do
    if [ -x "$place" ] && [ -x "$(dirname "$(realpath "$place")")/postgres" ]; then return 0; fi
  done
  return 1
}

install_programs() {
  # The package would start a server of its own at once; the tests start theirs.
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  apt-get -o DPkg::Lock::Timeout=300 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    -o Dpkg::Options::=--force-confold postgresql procps >/dev/null </dev/null
}

dev/lint.sh

step web app
.venv/bin/python -m dev.ui build
.venv/bin/python -m dev.ui check

step wheels
rm -rf .build/dist .build/wheel
for project in . trial; do
  .venv/bin/uv build --quiet --wheel --no-build-isolation --python .venv/bin/python --out-dir .build/dist "$project"
done
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --target .build/wheel .build/dist/*.whl

step core alone
dev/core_alone.sh

step PostgreSQL and ps
if ! find_postgres || ! command -v ps >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    install_programs
  else
    echo "the tests need PostgreSQL's server programs and ps (Debian: apt-get install postgresql procps)" >&2
    exit 1
  fi
fi

step Azurite
dev/azurite/install.sh

step Chromium
# PODMAP_SKIP_BROWSER leaves its tests out, and they say so in red at the end.
if [ -z "${PODMAP_SKIP_BROWSER:-}${PODMAP_TEST_CHROMIUM:-}" ] \
  && ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null </dev/null
  else
    echo "the tests need Chromium (Debian: apt-get install chromium; or name it by PODMAP_TEST_CHROMIUM), or" >&2
    echo "go without its tests with PODMAP_SKIP_BROWSER=1" >&2
    exit 1
  fi
fi

step Kubernetes
# The tests start it. PODMAP_SKIP_CLUSTER leaves its tests out, and they say so in red at the end.
if [ -z "${PODMAP_SKIP_CLUSTER:-}${PODMAP_TEST_KUBECONFIG:-}" ]; then
  dev/cluster/cluster prepare || {
    echo "no Kubernetes can be had here: name one for tests with PODMAP_TEST_KUBECONFIG (see" >&2
    echo "docs/contributing/cluster.md), or go without its tests with PODMAP_SKIP_CLUSTER=1" >&2
    exit 1
  }
fi

step tests of the wheels
# First on the path, so that it hides the editable installation, in child processes too.
export PYTHONPATH=$root/.build/wheel
.venv/bin/python - <<'PY'
import podmap, podmap_trial
for module in (podmap, podmap_trial):
    if "/.build/wheel/" not in module.__file__:
        raise SystemExit(f"{module.__name__} is not the built one: {module.__file__}")
from importlib.resources import files
if not (files("podmap.report") / "app" / "podmap-ui.js").is_file():
    raise SystemExit("the built wheel lacks the web app")
PY
# Two at once, since most of what is tested waits: Airflow's tests run beside Kubernetes'.
exec .venv/bin/python -m pytest --numprocesses="${PODMAP_TEST_WORKERS:-2}" --dist=loadscope --durations=40 "$@"
