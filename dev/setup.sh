#!/usr/bin/env bash
# Makes .venv with all that podmap's tests, checks and demo need, from requirements/dev.lock, with hashes.
# Quick when nothing changed since the last time.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
  # Runs a command as root, or says that it could not.
  if [ "$(id -u)" = 0 ]; then "$@"; else return 1; fi
}

usable() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

find_python() {
  local name
  for name in ${PYTHON:-} python3.11 python3.12 python3.13 python3.10 python3; do
    if usable "$name"; then command -v "$name" && return; fi
  done
  return 1
}

has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

apt_install() {
  command -v apt-get >/dev/null || return 1
  as_root env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get -o DPkg::Lock::Timeout=300 update -qq && apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" >/dev/null' sh "$@" </dev/null
}

stamp_of() {
  # What .venv was made from: the locked versions, our two projects' metadata, and where we lie.
  { cat requirements/dev.lock pyproject.toml trial/pyproject.toml dev/setup.sh; pwd; } | sha256sum | cut -d' ' -f1
}

build_app() {
  # The web app of reports: without it they are plain pages, so that it stops nobody.
  mkdir -p .build
  if ! .venv/bin/python -m dev.ui build >.build/ui.log 2>&1; then
    say "the web app is not built, so reports are plain pages (.build/ui.log says why); again: python -m dev.ui build"
  fi
}

python=$(find_python) || {
  say "no Python 3.10 to 3.13 found: installing Debian's"
  apt_install python3 python3-venv && python=$(find_python) || {
    say "Python 3.10, 3.11, 3.12 or 3.13 is needed: install one, or name it with PYTHON=/path/to/python"
    exit 1
  }
}

stamp=$(stamp_of)
if [ -x .venv/bin/python ] && [ "$(cat .venv/podmap-setup 2>/dev/null)" = "$stamp" ] && .venv/bin/python -c '' 2>/dev/null; then
  build_app
  exit 0
fi

if ! usable .venv/bin/python; then
  if ! has_venv "$python"; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "installing python$version-venv"
    apt_install "python$version-venv" || {
      say "$python has no venv module: install it (Debian: apt-get install python$version-venv)"
      exit 1
    }
  fi
  say "making .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv
fi
rm -f .venv/podmap-setup

# uv itself comes from the lock too: its block is the line "uv==…" and the hashes under it.
if [ ! -x .venv/bin/uv ]; then
  mkdir -p .build
  sed -n '/^uv==/,/[^\\]$/p' requirements/dev.lock >.build/uv.txt
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .build/uv.txt
fi

say "installing the locked packages (a minute or two the first time)"
export VIRTUAL_ENV="$PWD/.venv"
# One package has no wheel: it is built from its locked source by the locked setuptools.
source_only=antlr4-python3-runtime
mkdir -p .build
sed "/^$source_only==/,/[^\\\\]\$/d" requirements/dev.lock >.build/wheels.txt
sed -n "/^$source_only==/,/[^\\\\]\$/p" requirements/dev.lock >.build/source.txt
.venv/bin/uv pip sync --quiet --require-hashes --no-build --compile-bytecode .build/wheels.txt
.venv/bin/uv pip install --quiet --require-hashes --no-deps --no-build-isolation -r .build/source.txt
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable . --editable trial
echo "$stamp" >.venv/podmap-setup
say "building the web app"
build_app
say "done: .venv"
