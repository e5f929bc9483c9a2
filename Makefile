# All set-up happens here: every target makes the virtual environment it needs.
# Paths are relative, so the folder may lie anywhere, spaces in its name included.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test properties oracle-nest oracle-xylo interop bench-peers reliability fuzz lint types docs ci clean

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
WORKERS ?= 2
ARGS ?=

# An editable install points at the folder it was made in: after a move or a copy it is made again.
ifneq "$(shell cat .venv/.folder 2>/dev/null)" "$(CURDIR)"
$(shell rm -f .venv/.installed*)
endif

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do \
	  printf '  make %-11s %s\n' "$$name" "$$text"; done

demo: .venv/.installed ## learn to read digits online, beside BPTT and e-prop
	@.venv/bin/tracegrad demo $(ARGS)

test: .venv/.installed-dev ## run the tests (ARGS="--slow" for the longer studies too)
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

properties: .venv/.installed-dev ## the rules' claims for some two hundred random networks
	@$(PY) -m pytest -n $(WORKERS) --properties -m properties tests/learn $(ARGS)

oracle-nest: .venv/.installed-dev .venv-nest/.installed ## e-prop side by side with NEST's, on new seeds
	@$(PY) -m pytest -n $(WORKERS) tests/oracles/test_nest_eprop.py $(ARGS)

oracle-xylo: .venv/.installed-dev .venv-xylo/.installed ## the integer step beside SynSense's simulator, bit for bit
	@$(PY) -m pytest -n $(WORKERS) tests/oracles/test_xylo_simulator.py $(ARGS)

interop: .venv/.installed-dev .venv-interop/.installed ## PyTorch, TensorBoard, W&B and MLflow beside the real libraries
	@.venv-interop/bin/python -m pytest tests/log tests/interop/test_torch.py $(ARGS)

bench-peers: .venv/.installed-dev ## time other libraries beside tracegrad, each in an environment of its own
	@$(PY) bench/peers/install.py
	@$(PY) bench/peers/compare.py $(ARGS)

reliability: .venv/.installed-dev ## load held, faults survived, inputs tried, as a table (ARGS="--slow": many)
	@$(PY) bench/reliability.py $(ARGS)

fuzz: .venv/.installed-dev .venv-fuzz/.installed ## fuzz every reader, guided by coverage (ARGS="--seconds 600 --only aedat4": in pieces)
	@$(PY) bench/fuzz.py $(ARGS)

lint: .venv/.installed-dev ## check style and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: .venv/.installed-dev ## check types
	@$(PY) -m pyright

docs: .venv/.installed-docs ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

setup: .venv/.installed-dev .venv/.installed-docs ## make the environment with all tools

ci: ## everything that must pass
	@bash .ci/run

clean: ## remove the environment, caches and built files (runs/ stays)
	rm -rf .venv .venv-nest .venv-xylo .venv-peers .venv-fuzz .venv-interop .cache .pytest_cache .ruff_cache .hypothesis dist site

.venv/.installed .venv/.installed-dev .venv/.installed-docs: pyproject.toml | .venv/bin/pip
	@extra=$(subst .venv/.installed,,$@); package=".$${extra:+[$${extra#-}]}"; \
	echo "installing $$package into .venv (once; needs the network)" >&2; \
	$(PIP) --editable "$$package"
	@printf '%s\n' "$(CURDIR)" > .venv/.folder
	@touch $@

# An oracle brings versions of its own, so each lies apart; it is asked for by a command, never
# imported. xylosim is compiled when it is installed.
.venv-nest/.installed .venv-xylo/.installed: pyproject.toml | .venv/bin/pip
	@$(PY) -m venv --clear $(@D)
	@package=$$($(PY) -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  print(*project["optional-dependencies"]["$(@D:.venv-%=oracle-%)"])') && \
	echo "installing $$package into $(@D) (once; needs the network)" >&2 && \
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet $$package
	@touch $@

# Heavy extras, each environment with the packages of .venv in sight besides.
.venv-fuzz/.installed: extras := fuzz
.venv-interop/.installed: extras := torch tensorboard wandb mlflow
.venv-fuzz/.installed .venv-interop/.installed: pyproject.toml .venv/.installed-dev
	@$(PY) -m venv --clear $(@D)
	@packages=$$($(PY) -c 'import sys, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  print(*(p for extra in sys.argv[1:] for p in project["optional-dependencies"][extra]))' $(extras)) && \
	echo "installing $$packages into $(@D) (once; needs the network)" >&2 && \
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet $$packages
	@$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/main.pth"
	@touch $@

# The first interpreter that is new enough and can make an environment; PYTHON=... names another.
.venv/bin/pip:
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	  "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    && echo "making .venv with $$("$$python" --version)" >&2 \
	    && exec "$$python" -m venv --clear .venv; \
	done; \
	echo "make: needs Python 3.11 or newer with its venv module; none was found." >&2; \
	echo "Install one (on Debian: apt install python3 python3-venv), or: make PYTHON=/path/to/python3" >&2; \
	exit 1
