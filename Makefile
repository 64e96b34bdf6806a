# make demo    installs, gets the data, runs the demo sweep, reports, trains the winner
# make test    the tests that need no more than a few minutes
# make check   what CI runs besides: style, types
# make test-slow  the slow tests: kills, a bare environment, several workers, an object store
# make test-exhaustive  the slow tests that CI leaves out (about 30 minutes)
# make test-cluster  `ray up` on three hosts made of network namespaces; needs root, about ten minutes
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TWO := -n 2 --dist loadfile --no-loadscope-reorder# two processes, which share out the files, see tests/conftest.py
export RAY_USAGE_STATS_ENABLED := 0
export OMP_NUM_THREADS := 1
export PYTHONDONTWRITEBYTECODE :=# a sweep starts a dozen processes: each would compile the project anew

.PHONY: demo test test-slow test-exhaustive test-cluster check install clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[train,dev]'
	touch $@

demo: install
	PATH="$(abspath $(BIN)):$$PATH" sh sweeps/demo.sh

test: install
	$(BIN)/python -m pytest -q -m "not slow and not cluster" $(TWO)

test-slow: install
	$(BIN)/python -m pytest -q -m "slow and not exhaustive" --durations 10 $(TWO)

test-exhaustive: install
	$(BIN)/python -m pytest -q -m exhaustive --timeout 1200

# RUNLEVEL=1: Debian's sshd is wanted as a program, not as a service of this machine
test-cluster: install
	@for program in sshd ssh-keygen ip ss rsync ps; do \
		PATH="$$PATH:/usr/sbin:/sbin" command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -qq update && RUNLEVEL=1 apt-get -qq install -y --no-install-recommends \
			openssh-server openssh-client iproute2 rsync procps || true; fi
	$(BIN)/python -m pytest -q -m "cluster and not exhaustive"

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
