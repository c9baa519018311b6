# The commands that a person types. scripts/ and cargo do the work.

DEMO_SITE ?= demo-site
SECONDS ?= 300
SEEDS ?= 100

.DEFAULT_GOAL := help
.PHONY: help build demo test-all bench soak clean static

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## Build ext/branchfs.so, and target/release/forkpress with WordPress packed in
	scripts/build.sh

demo: ## Install, build, and serve a site with a branch in ./demo-site
	scripts/install-deps.sh
	scripts/build.sh
	scripts/demo.sh $(DEMO_SITE)

test-all: ## Run every test; the last line counts them
	scripts/test-all.sh

soak: build ## Run traffic, mutations, kills and random requests for SECONDS (default 300); then SEEDS (default 100) random merges and round trips
	FORKPRESS_FUZZ_SECONDS=$(SECONDS) cargo test -p forkpress-server whatever_
	FORKPRESS_TEST_BODY_MB=2048 FORKPRESS_TEST_CONNECTIONS=10000 cargo test -p forkpress-server --test bounds -- --nocapture
	php -d "extension=$(CURDIR)/ext/branchfs.so" tests/soak.php $(SECONDS)
	FORKPRESS_TEST_EVERY_STEP=1 cargo test -p forkpress-engine --features faults --test crash
	cargo test -p forkpress-engine --features faults --test crash -- --ignored --exact \
		a_merge_hit_at_each_of_its_steps_leaves_the_state_before_or_after
	php -d "extension=$(CURDIR)/ext/branchfs.so" tests/test_merge_model.php $(SEEDS) $$(date +%s)
	php -d "extension=$(CURDIR)/ext/branchfs.so" tests/test_import_export_random.php $(SEEDS) $$(date +%s)

bench: build ## Run the benchmarks and print their tables
	benches/run.sh

static: ## Build forkpress as one static binary
	scripts/build.sh --static

clean: ## Remove all that was built and fetched; sites stay
	cargo clean
	rm -rf ext target
