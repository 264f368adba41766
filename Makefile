# From a fresh checkout to a running search: `make demo`. Needs GNU make and a POSIX shell.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# Written when an installation is complete; its time says of which setup.py, constraints.txt and so on.
INSTALLED := $(VENV)/.installed
# There while an installation is under way: found at the start, it means that the last one was cut short.
UNFINISHED := $(VENV)/.unfinished

INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check --no-input -c constraints.txt

# The interpreter to set up with: PYTHON=..., or the first of these that fits. setup.py says the same versions.
PYTHON ?=
CANDIDATES := $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python)
VERSION_OF := import sys; print("%d.%d.%d" % sys.version_info[:3])
FITS := import pip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
# In an environment, the Python it was made from: `python3` may be that of the .venv about to be removed.
BASE_OF := import sys; print(sys._base_executable)

# Sets `python` and `version`, or says on stderr why it cannot and fails. A candidate has to run: the shim of a
# version manager can exist and fail. Debian ships Python without the two modules that make environments.
define find_python
python=; without_venv=; found=; \
for candidate in $(CANDIDATES); do \
    if ! command -v "$$candidate" >/dev/null 2>&1; then \
        $(if $(PYTHON),found="$$candidate (not there)";) continue; \
    fi; \
    version=$$("$$candidate" -c '$(VERSION_OF)' 2>/dev/null </dev/null) || version=; \
    case "$$version" in \
        3.11.*|3.12.*|3.13.*) ;; \
        *) found="$${found:+$$found, }$$candidate ($${version:-does not run})"; continue ;; \
    esac; \
    if "$$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1 </dev/null; then \
        python=$$candidate; break; \
    fi; \
    without_venv="$${without_venv:-$$candidate (Python $$version)}"; \
done; \
if [ -z "$$python" ] && [ -n "$$without_venv" ]; then \
    echo "archsearch needs the modules venv and ensurepip, which $$without_venv lacks;" \
        "on Debian and Ubuntu: apt install python3-venv" >&2; \
    exit 1; \
elif [ -z "$$python" ]; then \
    echo "archsearch needs Python 3.11, 3.12 or 3.13; found: $${found:-none}." >&2; \
    exit 1; \
fi
endef

# Asked for another Python than the environment has: make it anew with that one.
ifneq ($(PYTHON),)
ifneq ($(shell "$(PYTHON)" -c '$(VERSION_OF)' 2>/dev/null),$(shell $(BIN)/python -c '$(VERSION_OF)' 2>/dev/null))
ANEW := yes
$(INSTALLED): anew
endif
endif

# A test module at a time in each process. More than four would fill the memory of a small machine.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

.PHONY: help install demo test lint test-fast test-tensorflow test-end-to-end versus python clean anew

help: ## this list
	@echo "make TARGET [PYTHON=python3.12]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## set up .venv with the tested versions of everything
	@echo "$(VENV) is ready: $(BIN)/python search.py --help"

demo: $(INSTALLED) ## search on `digits` for 90 seconds, then train the best network in full
	$(BIN)/python search.py --dataset digits --run demo --max-time 90s --overwrite
	$(BIN)/python final_train.py --best --run demo --epochs 10 --overwrite
	@echo "To see both: $(BIN)/tensorboard --logdir logs"

# First the tests without TensorFlow, in processes that do not have it: what imports it unsaid is found there.
test: lint test-fast ## lint, types and all tests
	$(PYTEST) -m 'tensorflow or end_to_end'

lint: $(INSTALLED) ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy space archsearch search.py final_train.py

test-fast: $(INSTALLED) ## the tests that need no TensorFlow
	$(PYTEST) -m 'not tensorflow and not end_to_end'

test-tensorflow: $(INSTALLED) ## the tests that import TensorFlow
	$(PYTEST) -m 'tensorflow and not end_to_end'

test-end-to-end: $(INSTALLED) ## the tests that run whole commands
	$(PYTEST) -m end_to_end

versus: $(INSTALLED) ## this project against Keras Tuner, both measured: docs/versus.md
	$(BIN)/python benchmarks/versus.py

python: ## the interpreter that would be set up with
	@$(find_python); echo "$$python"

clean: ## remove .venv, caches and builds; runs in logs/ stay
	rm -rf $(VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . \( -path ./logs -o -path ./.git \) -prune -o -name __pycache__ -prune -exec rm -rf {} +

$(INSTALLED): setup.py pyproject.toml constraints.txt Makefile
	@if [ -n "$(ANEW)" ] || [ -e $(UNFINISHED) ] || ! $(BIN)/python -c '$(FITS)' >/dev/null 2>&1; then \
	    $(find_python); \
	    echo "Making $(VENV) with $$python (Python $$version)."; \
	    base=$$("$$python" -c '$(BASE_OF)') && rm -rf $(VENV) && mkdir $(VENV) && touch $(UNFINISHED) && \
	        "$$base" -m venv $(VENV); \
	fi
	@rm -f $(INSTALLED); touch $(UNFINISHED)
	@echo "Installing the packages of constraints.txt: some 840 MB to fetch, 3.1 GB on disk, a few minutes."
	@$(INSTALL) setuptools
	@$(INSTALL) --no-build-isolation -e '.[dev]'
	@mv $(UNFINISHED) $(INSTALLED)
