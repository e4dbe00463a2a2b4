# Needs GNU make, a POSIX shell and Python 3.11 or newer; everything else goes into .venv.

PYTHON ?=
CONSTRAINTS ?= constraints.txt
PYTEST_ARGS ?=
# Tests in parallel: one process per core, at most 4 (each may need 2 GiB).
PROCESSES ?= -n logical --maxprocesses 4 --dist worksteal

BIN := .venv/bin
RUN := $(BIN)/python -m
ENVIRONMENT := PYTHON='$(PYTHON)' CONSTRAINTS='$(CONSTRAINTS)' sh tools/environment.sh
OUTPUT := synfab-demo

# Without a writable home, Numba, Matplotlib and Warp keep their caches in the project.
ifneq ($(shell test -n "$$HOME" && test -w "$$HOME" && echo writable),writable)
export NUMBA_CACHE_DIR ?= $(CURDIR)/.cache/numba
export MPLCONFIGDIR ?= $(CURDIR)/.cache/matplotlib
export WARP_CACHE_PATH ?= $(CURDIR)/.cache/warp
endif
export SYNFAB_CACHE ?= $(CURDIR)/.cache/tools

.PHONY: help demo test test-fast soak lint types simulator browser adapters docs outputs validation gallery figures format bench bench-gpu constraints clean distclean \
	runtime-environment test-environment
.NOTPARALLEL:

help:
	@echo 'make demo         fabricate a million cells, print the timings, draw the figures'
	@echo 'make test         lint, type checks and all tests'
	@echo 'make test-fast    all tests that are not marked slow'
	@echo 'make soak         long campaigns: 50 kills of each kind of run, 20 of workers, 200 flipped bits in each kind of file, 500 interrupts of kernels, 600 s of hostile files, a billion cells (20 GiB, 10 GB of disk)'
	@echo 'make lint         ruff: rules and formatting'
	@echo 'make types        mypy'
	@echo 'make format       format the code with ruff'
	@echo 'make docs         build the documentation site in site/'
	@echo 'make outputs      run the code blocks of all pages and write what they print below them'
	@echo 'make validation   run the statistical tests and write what they measured into docs/validation.md'
	@echo 'make gallery      draw the ten figures of the gallery; make figures: all figures of the docs'
	@echo 'make bench        compare the speed with the published package'
	@echo 'make bench-gpu    measure the GPU kernels on an NVIDIA GPU'
	@echo 'make constraints  pin the newest versions of all dependencies in constraints.txt'
	@echo 'make clean        remove caches and outputs; make distclean also removes .venv'
	@echo
	@echo 'PYTHON=...        interpreter for .venv (default: the first Python >= 3.11)'
	@echo 'PROCESSES=        run the tests in one process'
	@echo 'PYTEST_ARGS=...   further arguments of pytest, e.g. PYTEST_ARGS="-k model"'

demo: runtime-environment
	$(BIN)/synfab demo --output $(OUTPUT)
	@echo 'The figures are in $(CURDIR)/$(OUTPUT)'

test: lint types simulator browser adapters
	$(RUN) pytest $(PROCESSES) $(PYTEST_ARGS)

test-fast: test-environment simulator browser adapters
	$(RUN) pytest -m 'not slow' $(PROCESSES) $(PYTEST_ARGS)

soak: test-environment
	SYNFAB_SOAK_KILLS=50 SYNFAB_SOAK_WORKERS=20 $(RUN) pytest tests/simulate/test_simulate.py \
		tests/io/test_checkpoints.py tests/cluster/test_cluster.py -k killed
	SYNFAB_SOAK_SIDE=256 $(RUN) pytest tests/programming/test_write_verify.py -k five_percent
	SYNFAB_SOAK_FLIPS=200 $(RUN) pytest tests/io/test_damage.py
	SYNFAB_SOAK_INTERRUPTS=500 $(RUN) pytest tests/engines/test_threads.py -k interrupts
	SYNFAB_FUZZ_SECONDS=600 SYNFAB_FUZZ_SEED=random $(RUN) pytest tests/io/test_fuzz.py
	$(BIN)/python benchmarks/billion.py

lint: test-environment
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: test-environment
	$(RUN) mypy

# An ngspice that loads compiled devices: the installed one, or one downloaded to the cache.
simulator: test-environment
	@$(BIN)/synfab doctor --fix >/dev/null || \
		echo 'synfab: ngspice is not available; the tests that need it are skipped' >&2

# Chromium for the browser tests: the installed one, or the Debian packages if this user may install.
browser:
	@sh tools/browser.sh

# aihwkit for the tests of its adapter, in a folder of its own.
adapters: test-environment
	@sh tools/adapters.sh .cache/adapters

format: test-environment
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

bench: runtime-environment
	$(RUN) benchmarks

bench-gpu: test-environment
	$(BIN)/python benchmarks/gpu.py

# Draw the figures of the gallery again, in docs/images; figures: all figures.
gallery: runtime-environment
	$(BIN)/python tools/figures.py examples/gallery

figures: test-environment
	$(BIN)/python tools/figures.py

outputs: test-environment simulator
	$(BIN)/python tools/blocks.py

validation: test-environment
	$(BIN)/python tools/validation.py

docs: test-environment
	@NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict
	@echo 'The documentation is in $(CURDIR)/site'

constraints:
	rm -rf .venv
	@PYTHON='$(PYTHON)' CONSTRAINTS= sh tools/environment.sh test
	@{ echo '# Versions used by the tests. Update them with: make constraints'; \
	   $(RUN) pip freeze --exclude-editable; } >constraints.txt.new
	@mv constraints.txt.new constraints.txt
	@echo 'constraints.txt is updated: run make test'

clean:
	rm -rf $(OUTPUT) site .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv

runtime-environment:
	@$(ENVIRONMENT) runtime

test-environment:
	@$(ENVIRONMENT) test
