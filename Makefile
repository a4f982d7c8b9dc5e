# Commands for people who work on Rollback Bot. They need python >= 3.11, make and a network for the first install.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test crash mutants load bench docs lint fmt lock clean

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Without a HOME that can be written, pip would warn, or create /.cache as root.
ifneq ($(shell [ -n "$$HOME" ] && [ -w "$$HOME" ] && echo yes),yes)
export PIP_NO_CACHE_DIR := 1
endif

# Kept bytecode, of the tests above all, halves the time until the first of them runs.
unexport PYTHONDONTWRITEBYTECODE

PY := .venv/bin/python
T ?=
W ?=
SERVE ?=
UPGRADE ?=
COMPILE = "$$uv" pip compile --universal --generate-hashes --python-version 3.11 -q $(UPGRADE)
# What the site is made of: its pages, and what they link to.
PAGES := README.md SECURITY.md CONTRIBUTING.md CHANGELOG.md LICENSE NOTICE Dockerfile compose.example.yaml manifest.yml rollback.example.toml docs scripts

# Sets $$python to the first interpreter that fits; pyenv's shims exist without working, hence the trial.
define find_python
python=; for p in "$$PYTHON" python3.13 python3.12 python3.11 python3; do \
	[ -n "$$p" ] || continue; \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1 || continue; \
	python=$$p; break; \
done; \
[ -n "$$python" ] || { \
	echo "No Python 3.11 or newer with the venv module was found." \
	     "Install one (Debian: python3 python3-venv), or name it: make PYTHON=/path/to/python3." >&2; \
	exit 1; }
endef

# An interrupted `python -m venv` leaves an interpreter without pip; ensurepip mends it.
define install
@$(PY) -c 'import pip' 2>/dev/null || $(PY) -m ensurepip >/dev/null
@echo "Installing $< into .venv"
@$(PY) -m pip install -qq --require-hashes -r $<
endef

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile

demo: .venv/installed-demo ## a whole rollback on this machine; STORY=only plays it once and ends
	@$(PY) -m demo

test: .venv/installed-dev ## all tests; T="..." goes to pytest (T="-k approve -n 0")
	@$(PY) -m pytest $(T)

crash: .venv/installed-dev ## bots that die at every boundary, simulated worlds, tampering; counts into docs/reliability.md
	@$(PY) -m tests.crash

mutants: .venv/installed-dev ## mutants planted in the safety code, each must be killed; W="desk replay" takes those with such words, JOBS=2
	@$(PY) -m tests.mutants $(W)

load: .venv/installed-dev ## rollbacks and ways back while the application writes; ROUNDS=200 CLIENTS=20 SEED=1
	@$(PY) -m tests.load

bench: .venv/installed-dev ## figures against what one would do by hand, into docs/performance.md; SIZE=1000 (MB) PAIRS=5
	@$(PY) -m tests.bench

docs: .venv-docs/installed ## the documentation as a site in build/site, each link checked; SERVE=yes shows it on localhost
	@rm -rf build/pages build/site && mkdir -p build/pages && cp -R $(PAGES) build/pages
	@.venv-docs/bin/zensical $(if $(SERVE),serve,build --clean --strict)
	@$(if $(SERVE),,.venv-docs/bin/python -m tests.site_links build/site)

lint: .venv/installed-dev ## style, types, the import rule, the Dockerfile
	@$(PY) -m ruff check -q .
	@$(PY) -m ruff format --check -q .
	@$(PY) -m mypy --strict
	@$(PY) -m pytest -n 0 tests/test_import_rule.py
	@.venv/bin/hadolint Dockerfile

fmt: .venv/installed-dev ## put the code in shape
	@$(PY) -m ruff check --fix -q .
	@$(PY) -m ruff format -q .

lock: ## write requirements*.lock from pyproject.toml; UPGRADE=--upgrade takes newer versions
	@uv=$$(command -v uv) || { uv=.venv-tools/bin/uv; [ -x "$$uv" ] || { \
		$(find_python); \
		"$$python" -m venv --clear .venv-tools && echo '*' > .venv-tools/.gitignore && \
		.venv-tools/bin/python -m pip install -qq uv; }; } && \
	$(COMPILE) pyproject.toml -o requirements.lock >/dev/null && \
	$(COMPILE) pyproject.toml --extra demo -o requirements-demo.lock >/dev/null && \
	$(COMPILE) pyproject.toml --extra demo --group dev -o requirements-dev.lock >/dev/null && \
	$(COMPILE) --group docs -o requirements-docs.lock >/dev/null

clean: ## remove what these commands made (never .rollback: it may hold an audit trail and backups)
	@rm -rf .venv .venv-docs .venv-tools .demo .cache dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find bot core demo tests -name __pycache__ -prune -exec rm -rf {} +

$(PY):
	@$(find_python); "$$python" -m venv --clear .venv

.venv/installed-demo: requirements-demo.lock | $(PY)
	$(install)
	@touch $@

# The development lock holds every pin of the demo's (a test sees to it), so one install serves both.
.venv/installed-dev: requirements-dev.lock | $(PY)
	$(install)
	@touch .venv/installed-demo $@

# An environment of its own: nothing but the site needs it.
.venv-docs/installed: requirements-docs.lock
	@$(find_python); "$$python" -m venv --clear .venv-docs && echo '*' > .venv-docs/.gitignore
	@echo "Installing $< into .venv-docs"
	@.venv-docs/bin/python -m pip install -qq --require-hashes -r $<
	@touch $@
