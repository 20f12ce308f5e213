# The only door. It needs Python >= 3.11 and make, nothing else: uv and every dependency come by themselves.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
ARGS ?=
UV := .tools/bin/uv
# The folders in which most tests start no server.
IN_PROCESS := $(addprefix tests/,architecture assignment authorization intake notification plan_files properties spreadsheets)
RUN := $(UV) run --no-sync
export UV_PROJECT_ENVIRONMENT := .venv
export UV_NO_PROGRESS := 1
export UV_PYTHON = $(shell cat .tools/python 2>/dev/null)
# Empty means off: where it is on, each of the many short commands and restarts compiles everything again.
export PYTHONDONTWRITEBYTECODE :=

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.tools/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Loopkeeper needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "setting up: uv"
	@$(PYTHON) -m venv .tools && .tools/bin/python -m pip -q --disable-pip-version-check install 'uv==0.13.9'

# The system's own build of that version, where there is one: distributions optimize theirs by profile, version managers seldom
# do. A Python named with PYTHON= is taken as it is.
.tools/python: .tools/bin/uv
	@system=/usr/bin/python$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	if [ "$(origin PYTHON)" = file ] && [ -x $$system ]; then echo $$system; else command -v $(PYTHON); fi > $@

# What the program itself needs, a quarter of the whole: the demo waits for nothing else. Nothing of the rest is removed.
.venv/.program: .tools/python pyproject.toml uv.lock shared/pyproject.toml $(wildcard services/*/pyproject.toml)
	@echo "setting up: dependencies"
	@$(UV) sync --locked --quiet --no-dev --inexact
	@touch $@

.venv/.ready: .venv/.program
	@echo "setting up: what tests and checks need"
	@$(UV) sync --locked --quiet
	@touch $@

setup: .venv/.ready ## Install everything into .venv

demo: .venv/.program ## Run David's story and 200 more referrals (ARGS="--once --json" for one JSON line)
	@$(RUN) python -m demo $(ARGS)

# Three processes, a file to each at a time, in order: two cores are what a runner has, and much of the time a test waits for
# what it killed. Each process brings its own PostgreSQL; they share one Kafka.
# The tests' broker comes from Maven; where it cannot be had, the tests that need it fail and say how. OpenSSH's server is
# Debian's; it needs root, and the tests that need it say so where it cannot be had. So is Chromium, for the journeys of
# people.
test: check ## Check, then run every test (ARGS="-k roster" to choose)
	@$(RUN) python -m demo.broker || true
	@$(RUN) python -m tests.loop.sshd || true
	@$(RUN) python -m tests.console.chromium || true
	@$(RUN) pytest -n 3 --dist loadfile --no-loadscope-reorder -m "(journey or not browser) and not fuzz and not chaos and not long" $(ARGS)

# Each process imports the services once and starts no server.
test-fast: .venv/.ready ## Run the tests that start no server: rules, forms, words, files (two minutes)
	@$(RUN) pytest -n 2 --dist loadfile --in-process -m "not browser and not fuzz and not chaos and not long" $(IN_PROCESS) $(ARGS)

# Every loop on Kafka too, each guide on a machine of its own, the demo on Kafka, faults on both logs: half an hour more.
test-long: .venv/.ready ## Run what takes longer: all loops on Kafka, each guide alone, the demo on Kafka, sixty faults on each log
	@$(RUN) python -m demo.broker || true
	@$(RUN) pytest -n 3 --dist loadfile --no-loadscope-reorder -m "long or chaos" $(ARGS)

# Six minutes on two cores, most of them Chromium's: more than fits into the time of the others. Chromium is Debian's
# package, installed where that may be done; Keycloak comes from Maven. Where there is none, the tests say how.
console-proof: .venv/.ready ## Run the console's tests in a real Chromium
	@$(RUN) python -m tests.console.chromium || true
	@$(RUN) python -m tests.console.keycloak || true
	@$(RUN) pytest -n 2 --dist loadfile -m browser tests/console $(ARGS)

# The same people on the same days each time; ids differ.
pictures: .venv/.ready ## Take the README's pictures again, from the tests' town
	@$(RUN) python -m tests.console.chromium || true
	@LOOPKEEPER_README_PICTURES=docs/images $(RUN) pytest -q -m browser tests/console/test_looks.py -k readme $(ARGS)

console-report: .venv/.ready ## Measure the console with a thousand loops open, and write docs/reference/console.md
	@$(RUN) python -m tests.console.chromium || true
	@LOOPKEEPER_CONSOLE_REPORT=docs/reference/console.md $(RUN) pytest -q -m browser tests/console/test_bars.py $(ARGS)

fuzz: .venv/.ready ## Send thousands of cases to every route with every role's key, and to every reader of files (CASES=n, EXAMPLES=n, SEED=n)
	@EXAMPLES=$${EXAMPLES:-5} $(RUN) pytest -q tests/spreadsheets/test_any_upload.py tests/spreadsheets/test_text.py tests/plan_files/test_any_file.py
	@$(RUN) pytest -q -m fuzz tests/openapi $(ARGS)

census: .venv/.ready ## Print what each statement and list looks at over few referrals and over many (ARGS="80 4000": copies)
	@$(RUN) python -m tests.bench.census $(ARGS)

bench: .venv/.ready ## Measure one referral alone and many at once, and write docs/reference/performance.md (ARGS=--quick: compare only)
	@$(RUN) python -m demo.broker || true
	@$(RUN) python -m tests.bench.performance $(ARGS)

logs: .venv/.ready ## Print what each log does on this machine, and how replicas take over (ARGS=kafka for one)
	@$(RUN) python -m tests.bench.bench $(ARGS)

campaign: .venv/.ready ## Kill the services 500 times and PostgreSQL 50 times, under load (KILLS=n, SEED=n); 30 while files act
	@KILLS=$${KILLS:-500} FILE_KILLS=$${FILE_KILLS:-30} $(RUN) pytest -q -s tests/chaos/test_kill.py tests/chaos/test_files_killed.py

chaos: .venv/.ready ## Do faults of every kind to a town at work (ARGS="--log kafka --faults 1000 --seed 7 --json")
	@$(RUN) python -m tests.chaos $(ARGS)

simulate: .venv/.ready ## Play loops by the thousand under one clock and one chance (ARGS="--seeds 10000 --first 0 --json")
	@$(RUN) python -m tests.simulate $(ARGS)

# Hours: each part alone by ARGS, and a run that was stopped goes on later. Times are for a machine that does nothing else.
reach: .venv/.ready ## Do the long campaigns, slice by slice, into docs/reference/reliability.md (ARGS="--list", ARGS=set-backs)
	@$(RUN) python -m tests.reach $(ARGS)

bars: .venv/.ready ## Measure what others lose by one who takes much (ARGS="readers --rounds 5 --keep")
	@$(RUN) python -m tests.bench.bars $(ARGS)

# The types take as long as all the rest, and a runner has two cores.
check: .venv/.ready ## Lint, types, borders between services, generated docs, words
	@$(MAKE) --no-print-directory -j2 -O .types .lint .borders .documents

.types:
	@$(RUN) pyright --warnings
.lint:
	@$(RUN) ruff check --quiet .
	@$(RUN) ruff format --check --quiet .
.borders:
	@$(RUN) lint-imports --no-cache
.documents:
	@$(RUN) python -m tools.docs.generate --check
	@$(RUN) python -m tools.docs.words

docs: .venv/.ready ## Write the generated docs: events, OpenAPI, status tables
	@$(RUN) python -m tools.docs.generate

format: .venv/.ready ## Put the code into its form
	@$(RUN) ruff check --fix --quiet .
	@$(RUN) ruff format --quiet .

# A newcomer's machine: what is committed, an empty home, none of our settings or caches.
fresh: ## Run the README's two commands, timed, on a fresh clone of the last commit in an empty home
	@home=$$(mktemp -d); git clone -q . $$home/clone; cd $$home/clone; \
	for each in $$(env | grep -oE '^(LOOPKEEPER|XDG|UV)_[A-Z_]+'); do unset $$each; done; export HOME=$$home; \
	time make demo ARGS="--once --json" && time make test; status=$$?; \
	make -s clean; rm -rf $$home; exit $$status

clean: ## Stop the embedded PostgreSQL of this folder and remove what was built or recorded here
	@test ! -x .venv/bin/loopkeeper || .venv/bin/loopkeeper reset --yes --home .loopkeeper >/dev/null 2>&1 || true
	@rm -rf .venv .tools .loopkeeper .pytest_cache .ruff_cache .hypothesis .schemathesis .reach
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup demo test test-fast test-long console-proof pictures console-report fuzz census bench logs campaign chaos simulate reach bars check .types .lint .borders .documents docs format fresh clean
