# Every target sets itself up: on a fresh machine (Python 3.11, npm for the demo) `make demo` is enough.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_OUT ?= demo-out
STAMP := $(VENV)/.installed
# Processes that share the tests out, file by file; 0 runs them in this one, as a debugger wants.
JOBS ?= logical

.PHONY: setup demo test check mutate bench bench-full bench-long bench-ledger bench-client bench-dashboard bench-distill frontier \
	bench-gpu bench-serving bench-spaces ideas peer screenshots unseen soak nightly clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/python -m client.demo.story --out $(DEMO_OUT)

test: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --max-worker-restart 2 \
		--cov --cov-report=
	$(BIN)/python tests/coverage_floor.py

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_docs.py

mutate: $(STAMP)
	$(BIN)/python tests/mutation/run.py

# The core comparison, every style left out in turn, three seeds, with 4 shots and with all, settings fixed
# beforehand; hours, goes on where `make demo` or an earlier `make bench` ended.
bench: $(STAMP)
	$(BIN)/python -m client.demo.folds --preset core --steps 120 --trial-steps 0 --shots 4,all --out $(DEMO_OUT) \
		--record tests/bench/lab/results.jsonl

# The same with all labels at the demo's length: restyled views fit slowly, and 120 steps are five passes.
bench-long: $(STAMP)
	$(BIN)/python -m client.demo.folds --preset core --name long --steps 400 --trial-steps 0 --shots all \
		--out $(DEMO_OUT) --record tests/bench/lab/long.jsonl

# Accuracy against paid queries on two styles, beside a teacher that is asked about every view.
frontier: $(STAMP)
	VL2V_HOME=$(DEMO_OUT)/client $(BIN)/vl2v frontier $(DEMO_OUT)/data --model icon-clip --target flat --target shaded \
		--shares 0.25,1 --selections stratified --fresh-views local-dir:vendor_api/demo/teacher --seeds 3 \
		--image-size 64 --steps 120 --lr 1e-3 --lambda 0.1 --out $(DEMO_OUT)/frontier

# The same with every general method, one seed, short runs.
bench-full: $(STAMP)
	$(BIN)/python -m client.demo.folds --out $(DEMO_OUT)

# Ideas beyond the papers, judged inside the source styles; what each was expected to gain is written
# down before it is run.
ideas: $(STAMP)
	$(BIN)/python -m tests.bench.lab.ideas

# Half of the classes unseen (Li et al. 2023), with and without shots and descriptions.
unseen: $(STAMP)
	$(BIN)/python -m client.demo.unseen --out $(DEMO_OUT)

# What Align and a Distill step cost beside the published stage and a bare step; an idle machine.
bench-distill: $(STAMP)
	VL2V_HOME=$(DEMO_OUT)/client $(BIN)/python -m tests.bench.distill $(DEMO_OUT)/data --model icon-clip \
		--target solid --image-size 64

# What a fetch costs beside a bare load generator, again from the cache, and in memory; idle machine.
bench-client: $(STAMP)
	$(BIN)/python -m tests.bench.client

# Each page of the dashboard over a million charges.
bench-dashboard: $(STAMP)
	$(BIN)/python -m tests.bench.dashboard

# The vendor beside infinity and LitServe, which it installs; the machine should be idle.
bench-serving: $(STAMP)
	$(BIN)/python -m tests.bench.serving --dir $(DEMO_OUT)/bench-serving \
		--pictures $(DEMO_OUT)/data

# A GPU alone and behind the server; needs a CUDA device.
bench-gpu: $(STAMP)
	$(BIN)/python -m tests.bench.serving.gpu --dir $(DEMO_OUT)/bench-gpu

# What a private space costs a vector.
bench-spaces: $(STAMP)
	$(BIN)/python -m tests.bench.spaces

# A real infinity as the teacher; VL2V_INFINITY_BIN names it, tests/client/teachers/peer says how to get it.
peer: $(STAMP)
	$(BIN)/python -m pytest -m peer -s tests/client/teachers/peer

# Pictures of every page of the dashboard, over a made-up month.
screenshots: $(STAMP)
	$(BIN)/python -m vendor_api.demo.screenshots --out vendor_api/dashboard/screenshots

# Charges a second with group commit and without it; the machine should be idle.
bench-ledger: $(STAMP)
	$(BIN)/python -m tests.bench.ledger

# Ten minutes of random kills of vendor, client, Redis and PostgreSQL under load, then an audit.
soak: $(STAMP)
	$(BIN)/python -m pytest -m soak -s tests/soak

# The ledger's state machine, ten times as long as in `make test`.
nightly: $(STAMP)
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -q tests/ledger/test_books_machine.py

clean:
	rm -rf $(DEMO_OUT) .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
