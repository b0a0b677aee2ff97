# The verbs. Each is also a plain command; CONTRIBUTING.md says which.
# The first that runs and is neither too old nor too new; what is merely found may be a shim of a version that is not there.
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c '$(SUITS)' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
APPROVE ?= api

.DEFAULT_GOAL := help
.PHONY: help install demo test test-ui pictures check bench bench-emulator bench-push bench-judge lock clean

help:
	@echo "make demo     the whole system on this machine: a good release and a broken one (APPROVE=ui: you answer the gates)"
	@echo "make test     all tests, against real Prefect servers, the real Azure SDK, real processes and git"
	@echo "make test-ui  rollouts steered by clicks in Prefect's own UI, in a real browser (chromium); pictures go to build/ui"
	@echo "make pictures the same, and the pictures of the documents are made anew"
	@echo "make check    formatting, lint, types, layers"
	@echo "make bench    all of the next three"
	@echo "make bench-emulator  what the emulator's scoring door costs"
	@echo "make bench-push  how long it takes from a signed push to the rollout's run"
	@echo "make bench-judge  how right the judge is, next to the rules of others (twenty minutes)"
	@echo "make lock     write requirements.lock anew from pyproject.toml"
	@echo "make clean    remove everything that make made"

# Made anew when the lock or the package's own description changes.
.venv/installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUITS)' || { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock --constraint requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

install: .venv/installed

demo: install
	$(BIN)/python -m examples.demo --approve $(APPROVE)

test: install
	$(BIN)/python -m pytest tests/unit tests/contract tests/orchestration --numprocesses 3 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest tests/e2e --numprocesses 2 --dist loadfile

test-ui: install
	$(BIN)/python -m pytest tests/ui

pictures: test-ui
	cp build/ui/question-v2.png docs/img/question.png
	cp build/ui/report-v2.png docs/img/report.png

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: bench-emulator bench-push bench-judge

bench-emulator: install
	$(BIN)/python -m benchmarks.emulator

bench-push: install
	$(BIN)/python -m benchmarks.push

bench-judge: install
	$(BIN)/python -m benchmarks.judge

lock: install
	$(BIN)/uv pip compile pyproject.toml --extra emulator --extra redis --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade --quiet --output-file requirements.lock

clean:
	rm -rf .venv .az .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
