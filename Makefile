# Two commands do everything, set-up included: `make demo` and `make test`.
SHELL := /bin/sh
NODE ?= node

.PHONY: help setup demo demo-services first-pool test test-openstack audit chaos mutation sim sim-nightly bench bench-smoke lint format typecheck build package clean

help: ## Lists the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: ## Installs what is missing and builds (idempotent, seconds the second time)
	@$(NODE) scripts/setup.mjs

demo: ## Runs a mixed load of real jobs through the whole path on the embedded cloud
	@$(NODE) scripts/setup.mjs --demo
	@$(NODE) dist/src/cli/main.js demo

demo-services: ## Nagios and Ganglia follow the embedded cloud's pool up and down, and a check
	@$(NODE) scripts/setup.mjs --demo --services
	@$(NODE) dist/src/cli/main.js demo --services

first-pool: ## The pool of docs/tutorials/first-pool.md, steps 1 to 5, to go on with; nothing if it runs already
	@bash scripts/first-pool.sh

test: ## Sets everything up and passes all the tests (SUITES="fast guest" for some)
	@$(NODE) scripts/setup.mjs --test --suites='$(SUITES)'
	@$(NODE) scripts/run-tests.mjs $(SUITES)

test-openstack: ## Installs a real OpenStack, starts it in namespaces of its own and runs the product against it
	@$(MAKE) --no-print-directory test SUITES="openstack-jobs openstack-faults openstack-hundred"

chaos: setup ## Kills real processes while jobs run, then looks what was lost (KILLS=200 SEED=...)
	@unshare --mount --propagation private $(NODE) dist/test/chaos/main.js --kills "$(or $(KILLS),200)" $(if $(SEED),--seed "$(SEED)")

mutation: setup ## Changes the core in small ways and looks whether its tests notice (FILES=src/pool/leases.ts)
	@$(NODE) scripts/mutation/run.mjs "$(FILES)"

sim: setup ## Plays simulated sites with faults until a rule breaks (SEED=1 STEPS=1000000), then the broken cores
	@SEED=$(SEED) STEPS=$(STEPS) $(NODE) scripts/sim.mjs

sim-nightly: setup ## The same for hours (HOURS=4)
	@HOURS=$(or $(HOURS),4) SEED=$(SEED) $(NODE) scripts/sim.mjs

bench: setup ## Measures beside floors, into a table and bench/results.json: hours (ROWS="request grant" for some of it)
	@$(NODE) bench/main.mjs $(ROWS)

bench-smoke: setup ## Leases, restart and idle in a minute; fails only a factor of two beyond what is wanted
	@$(NODE) bench/main.mjs --smoke

audit: ## Asks the registry for known advisories of the packages; says so where it cannot be asked
	@$(NODE) scripts/audit.mjs

lint: setup ## Linter and formatter, changing nothing
	@npm run --silent lint

format: setup ## Formats the sources
	@npm run --silent format

typecheck: setup ## The compiler's opinion of everything, tests included
	@npm run --silent typecheck

build: setup ## Compiles to dist/

package: setup ## One tarball that installs vmpool and the hooks, without any registry
	@npm pack --ignore-scripts --loglevel=error

clean: ## Removes what was built here (the engine's cache stays)
	@rm -rf dist .cache coverage test-artifacts
