# Everything happens in .venv, which the first target that needs it creates from
# $(PYTHON), or in VENV=DIR, a relative path. Nothing has to be activated and no git is
# needed.
#
#   make demo     install, and run the main job on real data
#   make test     install, and run the tests: make test ARGS='-k expiry'

PYTHON ?= python3
BASE ?= HEAD
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# What the installed package is made of; the stamps below are redone when it changes.
BUILD_FILES := pyproject.toml setup.py docs/generate.py
SOURCES := $(shell find kycli bin client -type f ! -name '*.so' ! -path '*/__pycache__/*')

.DELETE_ON_ERROR:
.PHONY: help venv install build debug demo test test-installed test-oldest soak docs man pictures bench bench-full bench-compare bench-report instructions instructions-accept lint format dist clean distclean

help:
	@echo 'make demo            install into .venv and run the main job on real data'
	@echo 'make test            install into .venv and run the tests (ARGS=... for pytest)'
	@echo 'make soak            the long tests'
	@echo 'make docs            the documentation in build/docs;  make man: manual pages in build/man'
	@echo 'make pictures        draw the terminal pictures anew'
	@echo 'make bench           each operation beside other stores, and the promised ratios'
	@echo 'make bench-full      the same at full size;  make bench-report: saved runs as a page'
	@echo 'make bench-compare   against a revision or a saved run: BASE=main (ARGS=...)'
	@echo 'make instructions    count the instructions of hot operations, against the baseline'
	@echo 'make instructions-accept    make what is counted now the baseline'
	@echo 'make lint            ruff, mypy and stubtest;  make format: let ruff rewrite'
	@echo 'make build           compile the engine in place, to import it from the checkout'
	@echo 'make debug           the same with symbols, line tracing and annotated listing'
	@echo 'make dist            sdist and wheel in dist/'
	@echo 'make test-installed  run the tests on that wheel in an environment of its own'
	@echo 'make test-oldest     the same with the oldest dependencies allowed'
	@echo 'make venv            .venv with all tools'
	@echo 'make clean           remove what was built;  make distclean: and .venv'

# The build tools, enough for the demo. The pip that comes with an older Python
# cannot read dependency groups.
$(VENV)/.build-tools: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group build
	@touch $@

$(VENV)/.dev-tools: $(VENV)/.build-tools
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

# The stores that the benchmarks measure beside ours; the tests do without them.
$(VENV)/.bench-tools: $(VENV)/.dev-tools
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

# Without isolation, and with build/ kept, a change to Python code alone compiles
# nothing. setuptools would install modules from build/lib that are gone from the
# checkout, so those go first.
$(VENV)/.installed: $(VENV)/.build-tools $(BUILD_FILES) README.md LICENSE $(SOURCES)
	@mkdir -p build && find build -path 'build/lib*' -name '*.py*' -delete
	$(BIN)/python -m pip install --quiet --no-build-isolation .
	@touch $@

venv: $(VENV)/.dev-tools

install: $(VENV)/.installed

build: $(VENV)/.dev-tools
	@rm -f kycli/core/*.so
	$(BIN)/python setup.py --quiet build_ext --inplace

debug: $(VENV)/.dev-tools
	@rm -f kycli/core/*.so
	KYCLI_DEBUG_BUILD=1 $(BIN)/python setup.py --quiet build_ext --inplace
	@find build/debug -name '*.html'

demo: install
	@PATH="$(CURDIR)/$(BIN):$$PATH" demo/run

# More tests at once than there are processors, as they wait a third of the time: see
# pytest_xdist_auto_num_workers in tests/conftest.py. Chosen files run in one process, because
# starting others takes longer; ARGS='-n 0' runs everything in one.
WORKERS = $(if $(findstring .py,$(ARGS)),,-n auto)

# From tests/, so that what is tested is the installed package and never the checkout.
test: install $(VENV)/.dev-tools
	cd tests && ../$(BIN)/python -m pytest $(WORKERS) $(ARGS)

soak: install $(VENV)/.dev-tools
	cd tests && ../$(BIN)/python -m pytest -m 'soak or hypothesis' --hypothesis-profile=random $(ARGS)

$(VENV)/.docs-tools: $(VENV)/.build-tools
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

# Needs no network. Commands, topics and signatures are made from their sources first.
docs: install man $(VENV)/.docs-tools
	$(BIN)/python docs/generate.py reference docs/reference
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -d build/doctrees docs build/docs
	@echo build/docs/index.html

man: $(VENV)/.build-tools
	$(BIN)/python docs/generate.py man build/man

pictures: install $(VENV)/.build-tools
	$(BIN)/python -m pip install --quiet --group pictures
	$(BIN)/python docs/pictures.py

# Each operation beside its peers, saved for the report, and then the promised ratios:
# make bench ARGS='-k save', ARGS=--smoke, ARGS=--help.
bench: install $(VENV)/.bench-tools
	$(BIN)/python bench/run.py $(ARGS)

# Ten times the rounds; stores of 10,000,000 keys take minutes to fill.
bench-full: install $(VENV)/.bench-tools
	$(BIN)/python bench/run.py --full $(ARGS)

bench-compare: install $(VENV)/.bench-tools
	$(BIN)/python bench/compare.py $(BASE) $(ARGS)

bench-report: $(VENV)/.bench-tools
	$(BIN)/python bench/report.py $(ARGS)

instructions: install $(VENV)/.dev-tools
	$(BIN)/python bench/instructions.py $(ARGS)

instructions-accept: install $(VENV)/.dev-tools
	$(BIN)/python bench/instructions.py --accept

# What stubtest must not mind: names that the engine imports, and compiled special methods,
# which take no keywords. It looks at the installed engine, as the tests do.
STUBTEST := -m mypy.stubtest --ignore-missing-stub --ignore-positional-only --ignore-disjoint-bases

lint: install $(VENV)/.bench-tools
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	cd tests && ../$(BIN)/python $(STUBTEST) kycli.core.storage

format: $(VENV)/.dev-tools
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# With pip's isolation: nothing but what pyproject.toml asks for. The wheel is built
# from the sdist, which shows that the sdist is complete.
dist: $(VENV)/.build-tools
	rm -rf dist && mkdir dist
	$(BIN)/python -c 'from setuptools.build_meta import build_sdist; build_sdist("dist")' >/dev/null
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist dist/*.tar.gz
	@ls -l dist

test-installed: dist
	rm -rf build/installed
	$(BIN)/python -m venv build/installed
	build/installed/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	build/installed/bin/python -m pip install --quiet --group test dist/*.whl
	cd build/installed && bin/python -m pytest -c '$(CURDIR)/pyproject.toml' '$(CURDIR)/tests' $(WORKERS) $(ARGS)

# The same with the oldest releases that pyproject.toml allows of what is needed at run time.
OLDEST := import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	wanted = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]; \
	print(*(d.replace(">=", "==") for d in wanted))

test-oldest: dist
	rm -rf build/oldest
	$(BIN)/python -m venv build/oldest
	build/oldest/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	build/oldest/bin/python -m pip install --quiet --group test dist/*.whl $$($(BIN)/python -c '$(OLDEST)')
	cd build/oldest && bin/python -m pytest -c '$(CURDIR)/pyproject.toml' '$(CURDIR)/tests' $(WORKERS) $(ARGS)

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache tests/.hypothesis $(VENV)/.installed
	find kycli tests bench -name __pycache__ -prune -exec rm -rf {} +
	find kycli -name '*.so' -delete

distclean: clean
	rm -rf $(VENV)
