# Every command of the project. `make` alone lists them.
#
# Each first makes .venv (engine/bootstrap.sh, which is quick when there is nothing to do), so that a fresh clone needs
# only python3 and make.

STACK ?= local
# Another settings file than Pulumi.$(STACK).yaml.
CONFIG ?=
# What `make logs` shows, and what `make test` runs: ROLE=worker, TEAM=alpha (in a cluster), TESTS=tests/unit.
ROLE ?=
TEAM ?=
TESTS ?=
# BUNDLE=path: `make up`, `make cluster` and `make cluster-images` install from what `make bundle` wrote, without a network. CLUSTER=yes:
# a bundle also has what `make cluster` starts.
BUNDLE ?=
CLUSTER ?=
# BUCKET=name: the S3 bucket that `make state-bootstrap` makes, where another name than the usual one is wanted.
BUCKET ?=
# FORCE=yes: `make down` also removes a running fleet that another checkout deployed, and forgets one whose cluster is
# gone.
FORCE ?=
# In the environment and not on the engine's command line, where a quote in a value would be the shell's.
export STACK CONFIG ROLE TEAM BUNDLE CLUSTER BUCKET

python := .venv/bin/python
engine := $(python) -m engine
pytest := $(python) -m pytest
uv := .venv/bin/uv
# Two at a time: what they make has names and ports of its own, and most of them wait for something half of their time. The others take
# both processors by themselves, or share a Docker host or the node, on which a small machine has no room for two fleets.
side_by_side := $(addprefix tests/,unit policies commands runtime engine)
sources := __main__.py settings architectures ci client components engine images policies tests benchmarks examples
# What failed in the first part would otherwise stand far above the end.
failures := .failed-tests
scripts := .ci/run $(shell find ci engine images -name '*.sh')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## List the commands
	@printf 'Usage: make COMMAND [STACK=local] [CONFIG=file]\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: environment
environment:
	@sh engine/bootstrap.sh

.PHONY: up
up: environment ## Deploy the stack (to this machine's Docker if STACK is not given) and run a first job; PLAN=plan.json
	@$(engine) up

.PHONY: down
down: environment ## Remove the stack and all that it made, jobs included
	@$(engine) down $(if $(filter yes,$(FORCE)),--force)

.PHONY: status
status: environment ## What runs, whether it is ready, and where
	@$(engine) status

.PHONY: logs
logs: environment ## The fleet's logs, followed; ROLE=api, worker, sandboxd or database, TEAM=alpha for a part
	@$(engine) logs

# POLICIES=file REPORT=folder PLAN=1 DETAILED_EXIT_CODE=1: make hands them on in the environment. make itself ends with 2
# whatever the command's exit code was: CI calls `.venv/bin/python -m engine` (docs/previews.md).
.PHONY: preview
preview: environment ## What `up` would change, under the policies, with its cost; REPORT=folder POLICIES=file PLAN=1
	@$(engine) preview

.PHONY: check
check: environment ## Hold all stacks, or STACK, against the policies; needs no account and no state; REPORT=folder
	@$(if $(filter file,$(origin STACK)),STACK=) $(engine) check

.PHONY: drift
drift: environment ## What exists against what STACK's state says; changes nothing
	@$(engine) drift

.PHONY: shell
shell: environment ## A shell in which plain `pulumi` works on the stack
	@$(engine) shell

.PHONY: state-bootstrap
state-bootstrap: environment ## Keep the state of STACK, one on AWS, in S3 with a KMS key; moves it there
	@$(engine) state-bootstrap

.PHONY: state-unlock
state-unlock: environment ## Explain who holds the lock of STACK's state, and clear a stale one; YES=1
	@$(engine) state-unlock

.PHONY: cluster
cluster: environment ## Start a one-node Kubernetes on this machine (Linux, root), for STACK=local-cluster
	@$(engine) cluster

.PHONY: cluster-down
cluster-down: environment ## Remove that Kubernetes with everything in it
	@$(engine) cluster-down

.PHONY: cluster-images
cluster-images: environment ## Give an existing cluster (kind, k3s, ...) the images that this machine's Docker has
	@$(engine) cluster-images

# REGISTRY=host/path VERSION=tag PUSH=1 NO_CACHE=1 ONLY=name,name KEY=path: make hands them on in the environment.
.PHONY: images
images: environment ## Build and verify all images, with SBOM and provenance; REGISTRY= VERSION= PUSH=1 NO_CACHE=1 ONLY= KEY=
	@$(engine) images

.PHONY: images-key
images-key: environment ## Make a pair of keys to sign images with, as cosign makes it: KEY=path
	@$(engine) images-key

.PHONY: bundle
bundle: environment ## Write one archive with all that an install without a network needs (images by VERSION=dev)
	@$(engine) bundle

.PHONY: compose
compose: environment ## Write compose.yaml anew from the fleet's workloads
	@$(engine) compose

.PHONY: compose-secrets
compose-secrets: ## Make the secrets that `docker compose up` mounts, where they are missing; needs python3 only
	@python3 engine/composition/secret_files.py

.PHONY: test
test: environment ## Everything that CI runs: lint, then all tests, cheapest first; TESTS=path for a part
	@$(MAKE) lint
	@$(engine) prepare
ifdef TESTS
	@$(pytest) $(TESTS)
else
	@rm -f $(failures)
	@$(pytest) --append-failures=$(failures) -n 2 --dist loadfile --no-loadscope-reorder $(side_by_side); ended=$$?; \
		if [ $$ended -gt 1 ]; then exit $$ended; fi; \
		$(pytest) --append-failures=$(failures) $(side_by_side:%=--ignore=%) && [ $$ended = 0 ] && exit; \
		printf '\nWhat failed, in either part:\n'; cat $(failures) 2>/dev/null; exit 1
endif

.PHONY: test-unit
test-unit: environment ## The tests that need nothing but Python
	@$(pytest) tests/unit

.PHONY: soak
soak: environment ## The long tests; keeps their results in benchmarks/soak.json
	@$(engine) prepare
	@$(pytest) --soak $(TESTS)

.PHONY: bench
bench: environment ## Measure, and write benchmarks/results.json
	@$(python) -m benchmarks

.PHONY: format
format: environment ## Format the code, and fix what can be fixed safely
	@$(python) -m ruff format $(sources)
	@$(python) -m ruff check --fix $(sources)

.PHONY: lint
lint: environment ## What is checked before any test: format, lint, types, scripts, Dockerfiles, generated files
	@echo 'format and lint' && $(python) -m ruff format --check -q $(sources) && $(python) -m ruff check -q $(sources)
	@echo 'types' && $(python) -m pyright $(sources)
	@echo 'shell scripts' && .venv/bin/shellcheck $(scripts)
	@echo 'Dockerfiles' && .venv/bin/hadolint --config images/hadolint.yaml $(wildcard images/*/Dockerfile)
	@echo 'generated files' && $(MAKE) requirements-check && $(python) -m settings.reference --check \
		&& PYTHONPATH=policies $(python) -m agent_fleet_policies.reference --check \
		&& $(python) -m engine.cost.document --check \
		&& $(engine) compose --check >/dev/null

.PHONY: scan
scan: environment ## Look for secrets, vulnerable packages and faults in images, Dockerfiles, workflows; IMAGE=, OSV=folder
	@$(engine) scan

.PHONY: promote
promote: environment ## Give stack TO the digests of stack FROM, verified: FROM=staging TO=prod KEY=cosign.pub [DRY_RUN=1]
	@$(engine) promote

# PLATFORM=fly|modal OUT=folder REGION=ams: make hands them on in the environment.
.PHONY: export
export: environment ## Write what runs the fleet on a managed platform: PLATFORM=fly or modal, OUT=folder, REGION=ams
	@$(engine) export

.PHONY: settings-reference
settings-reference: environment ## Write docs/settings.md and its JSON Schema anew
	@$(python) -m settings.reference --write

.PHONY: cost-reference
cost-reference: environment ## Write docs/cost.md anew from the price table engine/cost/prices.toml
	@$(python) -m engine.cost.document --write

.PHONY: policies-reference
policies-reference: environment ## Write the tables of docs/policies.md anew
	@PYTHONPATH=policies $(python) -m agent_fleet_policies.reference --write
	@PYTHONPATH=.:policies:tests/policies $(python) -m mutation_table --write

# Installed by `pip install -r` where somebody has a Python environment of their own; uv.lock is what counts.
export_project = $(uv) export --quiet --frozen --no-dev --no-hashes --no-annotate --no-header
export_runtime = $(uv) export --quiet --frozen --package fleet-runtime --no-dev --no-emit-workspace --no-annotate --no-header

.PHONY: lock
lock: environment ## Write uv.lock anew from pyproject.toml, and the requirements.txt files from it
	@$(uv) lock
	@$(export_project) -o requirements.txt >/dev/null
	@{ printf '%s %s\n' '# Made by: uv export --package fleet-runtime --no-dev --no-emit-workspace --no-annotate --no-header' \
		'--output-file images/runtime/requirements.txt'; $(export_runtime); } > images/runtime/requirements.txt

.PHONY: requirements-check
requirements-check: environment
	@$(uv) lock --quiet --check --offline
	@$(export_project) | diff -u requirements.txt - \
		|| { echo 'requirements.txt is not what uv.lock says: run make lock.' >&2; exit 1; }
