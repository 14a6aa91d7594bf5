# The commands of a working day. Each works on a fresh checkout.

CARGO ?= cargo

.PHONY: dev test crash bench ci

dev: ## a server, a local issuer and one worked exchange, with no configuration
	$(CARGO) run --quiet --locked --package sts -- dev

test: ## every test, every command of the README, and the OpenAPI document against a running server
	.ci/prerequisites
	$(CARGO) test --workspace --locked
	tests/readme/run
	tests/openapi/run

crash: ## kill -9 at a thousand instants under load, and everything acknowledged is kept (some minutes)
	STS_CRASH_KILLS=1000 $(CARGO) test --locked --package sts-store --test crash -- --nocapture c138

bench: ## measured times of signatures, decisions and the store
	$(CARGO) bench --workspace --locked --bench '*'

ci: ## what a change must pass
	.ci/run
