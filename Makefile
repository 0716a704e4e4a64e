# Nothing but Python (3.10 to 3.12) and make is needed; everything else goes into .venv.
#
#   make demo                         install, run the main job, say where the report is
#   make test                         install, then lint, types and all tests
#   make test PYTHON=python3.12       with another interpreter
#   make bench                        benchmarks side by side; half an hour, on a quiet machine
#   make demo TORCH_INDEX=URL         with an index that has CPU builds of torch (README, Install)
#   make demo DEMO="--output DIR"     with options of `bevdeploy demo`

PYTHON ?= python3
TORCH_INDEX ?=
DEMO ?=
TESTS ?= tests
# Two processes, whole files each, so that a file's graphs are traced once; WORKERS= for one process.
WORKERS ?= --numprocesses 2 --dist loadfile

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
EXTRAS := cpu,export,media,nuscenes
TEST_EXTRAS := $(EXTRAS),rtx,tracking,train,video,dev

.PHONY: help demo test lint bench format clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

# The stamps say what .venv holds; a changed declaration or pin makes it anew.
.venv/venv.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 10) <= sys.version_info[:2] <= (3, 12) else "$(PYTHON) is Python %d.%d; name a Python of 3.10 to 3.12: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv --clear .venv
	$(INSTALL) hatchling setuptools
	@touch $@

# Without build isolation the backends are the pinned ones: hatchling ours, setuptools that of tensorrt-rtx.
.venv/run.stamp: .venv/venv.stamp
	$(INSTALL) --no-build-isolation --editable '.[$(EXTRAS)]'
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	$(INSTALL) --no-build-isolation --editable '.[$(TEST_EXTRAS)]'
	@touch $@

demo: .venv/run.stamp
	$(BIN)/bevdeploy demo $(DEMO)

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TESTS) $(WORKERS)

bench: .venv/dev.stamp
	$(BIN)/python -m benchmarks.bev_pool --markdown benchmarks/README.md
	$(BIN)/python -m benchmarks.student --markdown benchmarks/README.md
	$(BIN)/python -m benchmarks.data --markdown benchmarks/README.md

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist out .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find bevdeploy tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
