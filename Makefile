# podmap: a few verbs. `make` alone lists them.
SHELL := /bin/bash
PY := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint docs lock bench chaos cluster clean

help: ## list the verbs
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

setup: ## make .venv from the lock (quick when nothing changed)
	@dev/setup.sh

demo: setup ## run examples/digits on a real Airflow, show the leaderboard (KEEP=1 leaves it up, CLUSTER=1 runs pods)
	@$(PY) dev/demo.py $(if $(KEEP),--keep) $(if $(CLUSTER),--cluster)

lint: setup ## format, ruff, mypy, import rules, spelling
	@dev/lint.sh

test: setup ## every check and test, cheap ones first
	@dev/test.sh $(PYTEST_ARGS)

docs: setup ## write the generated parts of the docs
	@$(PY) -m podmap.spec.reference docs/reference/spec.md
	@$(PY) -m podmap.cli._reference docs/reference/cli.md
	@$(PY) -m podmap.lint.reference docs/lint-dag.md docs/reference/lint-rules.md
	@$(PY) -m dev.layout

lock: setup ## resolve requirements/dev.lock again (UPGRADE=1: with the newest versions)
	@dev/lock.sh $(if $(UPGRADE),--upgrade)

bench: setup ## run the benchmarks and print their tables
	@$(PY) -m dev.bench $(BENCH_ARGS)

chaos: setup ## break everything under a real sweep, print the table (CHAOS_ARGS=--list, ...; hours)
	@$(PY) -m dev.chaos $(CHAOS_ARGS)

cluster: setup ## start a real Kubernetes for tests (DO=down ends it; DO=status, DO=env, ...)
	@dev/cluster/cluster $(or $(DO),up)

clean: ## remove what was built; .venv stays
	rm -rf .build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
