#!/usr/bin/env bash
# Puts Azurite, a program of Node that plays Azure's blobs, into .build/azurite; quick when it is there.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=.build/azurite
if cmp -s dev/azurite/package-lock.json "$here/installed"; then exit 0; fi
mkdir -p "$here"
cp dev/azurite/package.json dev/azurite/package-lock.json dev/azurite/.npmrc "$here"
PATH=$PWD/.venv/bin:$PATH npm ci --prefix "$here" --ignore-scripts --no-audit --no-fund --loglevel=error
cp dev/azurite/package-lock.json "$here/installed"
