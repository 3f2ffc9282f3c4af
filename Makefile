# Every target makes .venv by itself. `make help` lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

# The newest Python that is there, from 3.11 on; `make PYTHON=... install` takes another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	if command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$name; break; fi; done)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := $(shell find src -name '*.py' -o -name '*.mako' -o -name py.typed) setup.py pyproject.toml
ROUNDS ?= 100
SECONDS_OF_FUZZ ?= 600
SEEDS ?= 10000

##@ Use

.PHONY: help
help: ## Show this.
	@awk 'BEGIN {FS = ":.*##"} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*##/ {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: .venv/.installed ## Make .venv with the commands geartrain, gearmand, gearman and gearadmin.

.PHONY: demo
demo: install ## See real jobs done: shell workers, Python workers, a background job, a word count.
	@$(BIN)/python examples/demo.py

.PHONY: demo-cluster
demo-cluster: .venv/.developer ## See three servers share a PostgreSQL, one killed under load, and the account of it.
	@bash tests/services/install.sh
	@$(BIN)/python examples/demo_cluster.py

.PHONY: serve
serve: install ## Run a job server on 127.0.0.1:4730; background jobs are kept in ./geartrain.db.
	@$(BIN)/geartrain serve

.PHONY: bench
bench: .venv/.developer ## Measure the job server beside its peers; writes docs/benchmarks.md.
	@$(BIN)/python -m bench

.PHONY: profile
profile: .venv/.installed ## See where the server's time goes in a class: make profile CLASS=drain.
	@$(BIN)/python -m bench.profile $(CLASS)

##@ Develop

# What is judged by how long it takes runs by itself, stores too: they refuse after 0.8 seconds.
# All the rest waits until something is so, or has a limit of seconds that tells a time-out from
# none, and two files at a time do not disturb each other.
ALONE := tests/cluster tests/faults tests/server tests/store tests/cli/test_starting_time.py \
	tests/worker/test_idle.py
BESIDE := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: test
test: .venv/.developer ## Run the whole suite, with the compiled rooms and without.
	@bash tests/services/install.sh
	@echo "== the pure rooms and their shells, not compiled"
	@# How a worker idles does not hang on the compiled rooms, so that file is left out here.
	@PYTHONPATH=src $(BIN)/python -m pytest -q --no-header $(BESIDE) \
		tests/client tests/worker tests/broker tests/wire --ignore=tests/worker/test_idle.py
	@PYTHONPATH=src $(BIN)/python -m pytest -q --no-header tests/server
	@echo "== as installed, two files at a time"
	@$(BIN)/python -m pytest $(BESIDE) $(addprefix --ignore=,$(ALONE))
	@echo "== as installed, what is judged by time"
	@$(BIN)/python -m pytest $(ALONE)

.PHONY: check
check: style types contracts test ## What CI runs: style, types, import contracts, tests.

.PHONY: style
style: .venv/.developer ## Check style and format.
	@$(BIN)/ruff check src tests sim bench examples compat setup.py
	@$(BIN)/ruff format --check src tests sim bench examples compat setup.py

.PHONY: types
types: .venv/.developer ## Check types.
	@$(BIN)/mypy src

.PHONY: contracts
contracts: .venv/.developer ## Check which room imports which.
	@PYTHONPATH=src $(BIN)/lint-imports --no-cache

.PHONY: format
format: .venv/.developer ## Format all Python files.
	@$(BIN)/ruff check --fix -q src tests sim bench examples compat setup.py
	@$(BIN)/ruff format -q src tests sim bench examples compat setup.py

.PHONY: coverage
coverage: .venv/.developer ## Branch coverage of the pure rooms.
	@PYTHONPATH=src $(BIN)/coverage run -m pytest -q tests/wire tests/broker
	@$(BIN)/coverage report --show-missing --fail-under=100

.PHONY: faults
faults: .venv/.developer ## Kill, stop, fill up, slow down and cut off servers and stores, ROUNDS times; judge from the clients' logs.
	@bash tests/services/install.sh
	@for store in sqlite postgresql mariadb galera redis memcached; do \
		$(BIN)/python -m tests.faults --store $$store --rounds $(ROUNDS); \
		$(BIN)/python -m tests.faults --store $$store --fault hang --rounds 10; \
		$(BIN)/python -m tests.faults --store $$store --fault slow --rounds 10; done
	@for store in postgresql mariadb galera redis; do \
		$(BIN)/python -m tests.faults --store $$store --fault kill-both --rounds $(ROUNDS); done
	@for store in postgresql mariadb galera redis memcached; do \
		$(BIN)/python -m tests.faults --store $$store --fault down --rounds 10; done
	@for store in sqlite postgresql mariadb redis; do \
		$(BIN)/python -m tests.faults --store $$store --fault full --rounds 10; done
	@for store in postgresql mariadb galera redis; do \
		$(BIN)/python -m tests.faults.partition --store $$store --rounds 20; done
	@for database in postgresql replica galera; do \
		$(BIN)/python -m tests.faults --cluster $$database --rounds 50; done
	@$(BIN)/python -m tests.faults.workers --rounds 50
	@for database in postgresql galera; do \
		$(BIN)/python -m tests.faults.takeover --store $$database --rounds 50; \
		$(BIN)/python -m tests.faults.asleep --store $$database --seconds 30; done
	@for store in sqlite postgresql galera; do \
		$(BIN)/python -m tests.faults.schedulers --store $$store --seconds 120; done
	@for store in postgresql galera; do \
		$(BIN)/python -m tests.faults.schedulers --store $$store --seconds 60 --fault down --fault hang; done
	@$(BIN)/python -m tests.agent.partition --rounds 10

.PHONY: stores
stores: .venv/.developer ## Test every store, also on a Galera cluster of three nodes.
	@bash tests/services/install.sh
	@GALERA=1 $(BIN)/python -m pytest -q tests/store

.PHONY: sim
sim: .venv/.developer ## Simulate SEEDS stories of servers, clients, workers and their troubles.
	@$(BIN)/python -m sim --seeds $(SEEDS)
	@$(BIN)/python -m sim --seeds $(SEEDS) --shared

.PHONY: schedule-days
schedule-days: .venv/.developer ## Ten days of three schedulers killed, stopped and misled, on SQLite, PostgreSQL and Galera.
	@bash tests/services/install.sh
	@GALERA=1 SCHEDULE_HOURS=240 SCHEDULE_SEEDS=1,2,3 $(BIN)/python -m pytest -q -s tests/schedule/test_days.py

.PHONY: fuzz
fuzz: .venv/.developer ## Send broken packets and lines for SECONDS_OF_FUZZ seconds.
	@$(BIN)/python -m tests.server.fuzz --seconds $(SECONDS_OF_FUZZ)

.PHONY: clean
clean: ## Remove what was built, and .venv.
	@rm -rf .venv build dist bench/build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The package is installed as users have it, its pure rooms compiled. PYTHONPATH=src runs the
# sources as they are.

.venv/.packages: pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed, and none was found" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) install -q --upgrade 'setuptools>=77' wheel 'mypy>=2.4' 'librt>=0.16'
	@touch $@

.venv/.installed: .venv/.packages $(SOURCES)
	@rm -rf build/wheel build/lib* build/bdist*
	@$(PIP) wheel -q --no-build-isolation --no-deps -w build/wheel .
	@$(PIP) install -q --force-reinstall --no-deps build/wheel/*.whl
	@$(PIP) install -q build/wheel/*.whl
	@$(BIN)/geartrain version
	@touch $@

.venv/.developer: .venv/.installed
	@$(PIP) install -q "$$(echo build/wheel/*.whl)[dev]"
	@touch $@
