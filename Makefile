# `make` alone lists what there is. Every target installs what it needs; a second run finds it installed.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BUILT := $(VENV)/.built
NODE_MODULES := web/node_modules/.installed
PAGES := web/dist/.built
WEB_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*' 2>/dev/null)
NATIVE_SOURCES := setup.py pyproject.toml $(wildcard stream/wire/*.c stream/wire/*.h)
QUIET_NPM := --no-audit --no-fund --loglevel=error

.PHONY: help
help: ## List the tasks
	@echo "Hawker. Tasks:"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/' \
		| awk -F'\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'

.PHONY: demo
demo: ## A sample shop with a show on air. ARGS="--json --port 9400 --data DIR --host ADDRESS"
	@$(MAKE) -j2 install >&2
	@HAWKER_DIE_WITH_PARENT=1 exec $(BIN)/hawker demo $(ARGS)

.PHONY: install
install: $(BUILT) $(PAGES) ## Install what running needs: Python packages, native part, web pages
	@:

.PHONY: test
test: check chromium ## Everything CI runs: checks, unit, integration and browser tests
	cd web && npm run --silent test
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not browser"
	$(BIN)/python -m pytest -q -m browser tests --ignore tests/browser
	$(BIN)/python -m pytest -q tests/browser

.PHONY: check
check: $(BUILT) $(PAGES) ## Lint, format, types, import law; the same for the pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd web && npm run --silent check

.PHONY: fmt
fmt: $(INSTALLED) ## Format the Python sources and mend what lint can mend
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

.PHONY: bench bench-show bench-fanout bench-join bench-viewers bench-latency bench-loss
bench: bench-fanout bench-join bench-viewers bench-latency bench-loss bench-show ## All benchmarks; each ends with one JSON object on a line
bench-show: $(BUILT) $(PAGES) chromium ## What a person feels on the running demo
	$(BIN)/python -m loadtests.show $(ARGS)
bench-fanout: $(BUILT) ## Sealing and sending one packet to many viewers
	$(BIN)/python -m loadtests.relay.fanout $(ARGS)
bench-join: $(BUILT) ## How fast viewers can join
	$(BIN)/python -m loadtests.relay.join $(ARGS)
bench-viewers: $(BUILT) ## How many viewers a core serves
	$(BIN)/python -m loadtests.relay.crowd $(ARGS)
.PHONY: bench-orders bench-drop bench-chaos
bench: bench-orders bench-drop bench-chaos
bench-orders: $(BUILT) ## Orders on one hot variant: in groups, against one a commit
	$(BIN)/python -m loadtests.commerce.orders $(ARGS)
bench-drop: $(BUILT) redis-benchmark ## 10,000 buyers tap at once for 1,000 units
	$(BIN)/python -m loadtests.commerce.drop $(ARGS)
bench-chaos: $(BUILT) ## Break everything while people buy, then read the books. SEEDS=N, ten otherwise
	SEEDS=$(SEEDS) $(BIN)/python -m loadtests.commerce.chaos $(ARGS)
bench-latency: $(BUILT) chromium ## What the relay adds between two pages, glass to glass
	$(BIN)/python -m loadtests.relay.latency $(ARGS)
bench-loss: $(BUILT) chromium ## Whether the picture keeps moving with 5 % loss and 50 ms there and back
	$(BIN)/python -m loadtests.relay.loss $(ARGS)
.PHONY: bench-versus
bench-versus: $(BUILT) ## Our node against another relay, on one core each. ARGS="--kind janus --peer /usr/bin/janus"
	$(BIN)/python -m loadtests.relay.versus $(ARGS)

.PHONY: fuzz soak
fuzz: $(BUILT) ## 5 million malformed inputs to the relay, a show on air meanwhile. ARGS="--inputs N --seed S"
	$(BIN)/python -m loadtests.fuzz $(ARGS)
soak: $(BUILT) ## 30 minutes of viewers coming and going in every way: what is left behind? ARGS="--minutes N"
	$(BIN)/python -m loadtests.relay.soak $(ARGS)

.PHONY: bench-auction
bench: bench-auction
bench-auction: $(BUILT) ## The last ten seconds of an auction with 500 bidders, an overlay and Valkey killed
	$(BIN)/python -m loadtests.commerce.auction $(ARGS)

.PHONY: lock
lock: $(INSTALLED) ## Renew requirements.lock from pyproject.toml (UPGRADE=1: to the newest versions)
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --all-extras \
		$(if $(UPGRADE),--upgrade) pyproject.toml -o requirements.lock

.PHONY: settings
settings: $(INSTALLED) ## Write deploy/settings.md from the table in server/config.py
	$(BIN)/python -m server.config > deploy/settings.md

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
		|| sh deploy/install-package.sh chromium "the browser tests need Chromium" chromium_missing

.PHONY: redis-benchmark
redis-benchmark:
	@command -v redis-benchmark >/dev/null \
		|| sh deploy/install-package.sh redis-tools "bench-drop needs redis-benchmark" redis_benchmark_missing

.PHONY: clean
clean: ## Remove what was installed and built (the demo's data stays)
	rm -rf $(VENV) web/node_modules web/dist build *.egg-info stream/wire/*.so
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './web/*' -prune -exec rm -rf {} +

.PHONY: forget
forget: ## Remove the demo's data
	test ! -L .demo/postgres || rm -rf "$$(readlink -f .demo/postgres)"
	rm -rf .demo

# uv installs in a third of pip's time; where it can't (an index that only pip was told of), pip does.
$(INSTALLED): requirements.lock
	@python=$$(sh deploy/find-python.sh) && { test -x $(BIN)/python || $$python -m venv $(VENV); }
	@echo "installing Python packages" >&2
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
		|| $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@touch $@

$(BUILT): $(INSTALLED) $(NATIVE_SOURCES)
	@echo "building the native part" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(NODE_MODULES): web/package.json web/package-lock.json
	@command -v npm >/dev/null || { echo "hawker: node 20 or newer with npm is needed for the pages [node_missing]" >&2; exit 1; }
	@echo "installing the pages' packages" >&2
	@cd web && npm ci $(QUIET_NPM)
	@touch $@

$(PAGES): $(NODE_MODULES) $(WEB_SOURCES)
	@echo "building the pages" >&2
	@cd web && npm run --silent build
	@touch $@
