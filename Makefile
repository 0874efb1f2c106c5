# make report [CLIENT=twin] | make test | make lab | make evidence: each sets up .venv first, from the hashed lock.
.PHONY: report test lab evidence clean
CLIENT := grocer
.DELETE_ON_ERROR:

FIND := for p in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c "import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))" 2>/dev/null && echo "$$p" && exit; done
PY := .venv/bin/python

report: .venv/ready $(if $(filter twin,$(CLIENT)),data/twin/raw)
	@$(PY) -m helpers run $(CLIENT)

data/twin/raw: .venv/ready
	@$(PY) -m helpers demo twin

test: .venv/ready
	@$(PY) -m pytest -p no:cacheprovider

evidence: .venv/ready
	@$(PY) -B -m pytest -p no:cacheprovider -m evidence tests
	@$(PY) tests/evidence
	@$(PY) tests/evidence/claims.py

lab: .venv/ready
	@$(PY) -m jupyterlab notebooks

.venv/ready: requirements.lock pyproject.toml
	@python=$$($(FIND)); \
	if [ -z "$$python" ]; then echo "No Python 3.11 to 3.14 found. Install one and run make again." >&2; exit 1; fi; \
	echo "Setting up .venv with $$("$$python" --version). This takes a minute or two, once."; \
	"$$python" -m venv --clear .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf .venv
