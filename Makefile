# All tasks of a developer in this checkout. `make` alone lists them.

PYTHON ?= python3
UV ?= uv
ARGS ?=
PROCESSES ?= 4
SEED ?= 1
SEEDS ?= 1
EVENTS ?= 100000
SECONDS ?= 60
DAYS ?= 400

# Containers often set it. Without compiled modules every process of a test run compiles what it loads.
export PYTHONDONTWRITEBYTECODE =

BIN := .venv/bin
PYTHON_BIN := $(BIN)/python
INSTALLED := .venv/.installed
NATIVE := .venv/.native
# `required` fails without the compiled module, as CI does; otherwise Python reads all events then.
WITH_NATIVE ?= if-possible

PYTEST = $(PYTHON_BIN) -m pytest -n $(PROCESSES) --dist worksteal --ignore=tests/alerts/test_live.py
OPENAPI := tests/integration/gateway/test_openapi.py
APART := --ignore=tests/wheel --ignore=tests/browser
# House rules, unit tests, contract tests on real servers, and the path of events from HTTP to a row.
BEFORE_A_PUSH := tests/house tests/unit tests/property tests/contract tests/mutants tests/integration/gateway/test_gateway.py \
	tests/integration/worker/test_host.py tests/integration/commands/test_process.py

# The one command for compiling lock files: for every platform, with hashes, without the URLs of package indexes.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help install demo up test collect test-all test-alerts test-browser test-openapi lint format bench bench-attack bench-flood wheel-test faults \
	gateway-faults fuzz-native native-equality mutants churn pauses years lock pin-images

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo
	@echo "  PYTHON=python3.12 chooses the Python for .venv; ARGS='...' is passed on to the command."

install: $(INSTALLED) $(NATIVE) ## Make .venv with the locked dependencies, the project, editable, and the native module if cargo is there

demo: install ## Send a known mix of events through a real Kafka and Postgres, and audit the result
	@$(BIN)/bridge demo $(ARGS)

up: install ## Run Kafka, Postgres, a worker and a gateway on this machine until Ctrl-C
	@$(BIN)/bridge up $(ARGS)

test: install ## Run what to run before a push (ARGS=tests/integration for others, PROCESSES=0 for one after another)
	$(PYTEST) --ignore=$(OPENAPI) $(if $(filter tests%,$(ARGS)),,$(BEFORE_A_PUSH)) $(ARGS)

collect: install ## Collect all tests. A fresh checkout compiles them here once, not in each process of a run
	@collected=$$($(PYTHON_BIN) -m pytest --collect-only -qqq $(APART)) || { echo "$$collected"; exit 1; }

# Whoever asks for both wants the tests compiled before.
test-all: install $(filter collect,$(MAKECMDGOALS)) ## Run all tests but those of test-alerts, test-browser and wheel-test, which have their own
	$(PYTEST) $(APART) $(ARGS)

test-openapi: install ## Hold the gateway against its own OpenAPI document, by schemathesis, a minute or two
	$(PYTHON_BIN) -m pytest $(OPENAPI) -q $(ARGS)

test-alerts: install ## Hold the alerts against the running product, ten minutes of health and real faults (SHORT=1: three)
	$(PYTHON_BIN) -m pytest tests/alerts/test_live.py $(if $(SHORT),-k 'well or refuses or tenth') $(ARGS)

lint: install ## Check format, style, types and the rule of imports
	$(PYTHON_BIN) -m ruff format --check .
	$(PYTHON_BIN) -m ruff check .
	$(PYTHON_BIN) -m mypy
	$(BIN)/lint-imports
	$(PYTHON_BIN) scripts/install_native.py --lint

format: install ## Format the code and fix what can be fixed automatically
	$(PYTHON_BIN) -m ruff check --fix .
	$(PYTHON_BIN) -m ruff format .

bench: install ## Measure beside the peers and the limits, some hours (ARGS='contest --without faust-agent', latency, ... for a part)
	$(PYTHON_BIN) -m bench $(ARGS)

bench-attack: install ## Send a gateway what costs it most, as one visitor, and see how another script's server fares
	$(PYTHON_BIN) -m bench gateway_attack $(ARGS)

bench-flood: install ## Open thousands of connections a second to a gateway, and see how another script's server fares
	$(PYTHON_BIN) -m bench gateway_connections $(ARGS)

wheel-test: install ## Build the wheel, and try it where no sources are
	$(PYTHON_BIN) -m pytest tests/wheel -q $(ARGS)

test-browser: install ## Try the browser snippet and the producers' pages, with Debian's chromium, curl and kcat (.ci/packages)
	$(PYTHON_BIN) -m pytest tests/browser -q -n $(PROCESSES) --dist worksteal $(ARGS)

faults: install ## Break everything under load by a seeded plan, and prove that nothing is lost or counts twice
	@PYTHONPATH=tests:. $(PYTHON_BIN) -m tools.faults --seed $(SEED) --seeds $(SEEDS) --events $(EVENTS) --seconds $(SECONDS) $(ARGS)

gateway-faults: install ## Kill broker and gateway while EVENTS are posted and sent by the Python client: no 202 was false
	@PYTHONPATH=tests:. $(PYTHON_BIN) -m tools.faults.producers --events $(EVENTS) $(ARGS)

fuzz-native: install ## Give the native module mutated events for SECONDS: no panic, and no row that Python makes otherwise (SEED)
	@PYTHONPATH=tests:. $(PYTHON_BIN) -m tools.fuzz_native --seed $(SEED) --seconds $(SECONDS)

native-equality: install ## Commit EVENTS by Python and natively to two databases, and compare all their tables (SEED)
	@PYTHONPATH=tests:. $(PYTHON_BIN) -m tools.native_equality --events $(EVENTS) --seed $(SEED) $(ARGS)

mutants: install ## Take each mechanism out of a copy, one by one: the tests must notice (ARGS='--only token,chain')
	@PYTHONPATH=tests:. $(PYTHON_BIN) -m tools.mutants $(ARGS)

churn: install ## Workers come, go and are killed for SECONDS under load: memory, file descriptors and sessions stay bounded
	@PYTHONPATH=tests:. $(PYTHON_BIN) -m tools.faults.churn --seconds $(SECONDS) --events $(EVENTS) $(ARGS)

years: install ## Simulate DAYS of commits, retention and archives on Postgres, with kills between statements, audited (ARGS='--sites 50')
	@PYTHONPATH=tests:. $(PYTHON_BIN) -m tools.years --days $(DAYS) $(ARGS)

pauses: install ## Replace workers, silence a primary, kill each of three brokers: how long work rests (ARGS='--only rolling')
	@PYTHONPATH=tests:. $(PYTHON_BIN) -m tools.faults.pauses $(ARGS)

lock: ## Compile the lock files again: all, and what the image runs and is built with (needs uv)
	$(COMPILE) pyproject.toml --extra stack --extra traces --extra sentry --extra archive --group dev -o requirements.lock
	$(COMPILE) pyproject.toml --extra traces --extra sentry --extra archive --constraint requirements.lock -o requirements-runtime.lock
	echo hatchling | $(COMPILE) - --constraint requirements.lock -o requirements-build.lock
	echo pip-audit | $(COMPILE) - --constraint requirements.lock -o requirements-audit.lock

pin-images: install ## Look up digests of images and commits of actions and write them (ARGS=--check: only compare)
	@$(PYTHON_BIN) -m deploy.pins $(ARGS)

$(PYTHON_BIN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: Python 3.11 or newer is needed, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1);" \
			"name another one, as in: make install PYTHON=python3.12" >&2; exit 1; }
	@echo "making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

$(INSTALLED): requirements.lock pyproject.toml | $(PYTHON_BIN)
	@echo "installing $$(grep -c '^[a-z].*==' requirements.lock) locked packages into .venv (the first time takes a minute or two)"
	@$(PYTHON_BIN) -m pip install --quiet --no-input --disable-pip-version-check --require-hashes -r requirements.lock
	@echo "installing the project, editable"
	@$(PYTHON_BIN) -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(NATIVE): $(wildcard native/src/*.rs) native/Cargo.toml native/Cargo.lock scripts/install_native.py | $(PYTHON_BIN)
	@if $(PYTHON_BIN) scripts/install_native.py; then touch $@; else test "$(WITH_NATIVE)" != required; fi
