# The commands of a working day. Each works on a fresh checkout.

CARGO ?= cargo

# `sts --version` shows it.
export STS_COMMIT ?= $(shell git show --no-patch --format='%h %cs' HEAD 2>/dev/null)

.PHONY: release dev test crash bench pgo bench-parts instructions fuzz mutants ci

dev: ## a server, a local issuer and one worked exchange, with no configuration
	$(CARGO) run --locked --package sts -- dev

test: ## every test, every command of the README and deploy/docs, the OpenAPI document against a running server, everything in deploy/, clients and verifiers of others, the console in Chromium
	.ci/prerequisites
	$(CARGO) test --workspace --locked
	tests/readme/run
	tests/openapi/run
	tests/deploy/run
	tests/clients/run
	tests/browser/run

crash: ## kill -9 at a thousand instants under load, and everything acknowledged is kept (some minutes)
	STS_CRASH_KILLS=1000 $(CARGO) test --locked --package sts-store-embedded --test crash -- --nocapture c138

bench: ## the server beside a bare handler and beside others, into tests/benches/RESULTS.md (half an hour on an idle machine)
	.ci/prerequisites wrk valgrind strace npm
	$(CARGO) bench --locked --package sts --bench speed

pgo: ## the server by profile-guided optimisation, trained by the benches, into target/pgo (needs rustup's llvm-tools)
	tests/benches/pgo

bench-parts: ## measured times of signatures, decisions, the store, reloads and floods
	$(CARGO) bench --locked --package sts-jose --package sts-policy --package sts-token --package jwks-cache --bench '*'
	$(CARGO) bench --locked --package sts-store-redis --bench store
	$(CARGO) bench --locked --package sts --bench start --bench scale --bench managed --bench console --bench storm --bench hostile

instructions: ## instructions of the parts of an exchange, compared with tests/benches/instructions.tsv; STS_BLESS=1 writes that
	.ci/prerequisites valgrind
	$(CARGO) bench --locked --package sts-service --bench instructions

# Seconds for each target. Needs a nightly toolchain, and `cargo install cargo-fuzz`.
FUZZ_SECONDS ?= 60
# No input may take a second or half a gigabyte.
FUZZ_LIMITS = -timeout=1 -rss_limit_mb=512 -max_len=65536

fuzz: ## property tests on other inputs, 100,000 mutants of one token, every reader of untrusted bytes under libFuzzer
	PROPTEST_RNG_SEED=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ') $(CARGO) test --workspace --locked --lib --tests
	$(CARGO) test --release --locked --package sts-token --test mutations -- --ignored
	for target in $(notdir $(basename $(wildcard tests/fuzz/fuzz_targets/*.rs))); do \
		mkdir -p tests/fuzz/corpus/$$target && \
		$(CARGO) +nightly fuzz run --fuzz-dir tests/fuzz $$target tests/fuzz/corpus/$$target tests/fuzz/seeds/$$target -- \
			$(FUZZ_LIMITS) -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

# Of each this many mutants one is tried: `make mutants MUTANTS=0/8`.
MUTANTS ?= 0/1
# What a wrong line of lets somebody in: the verifier, the fetch guard, the matcher, what is known of platforms, the two stores'
# revocations, secrets on disk, and who asks.
MUTATED = $(addprefix --file=, \
	$(addprefix sts/token/src/,registered.rs unverified.rs verified.rs own.rs presented.rs origin.rs) \
	$(addprefix sts/jose/src/,jws.rs verifying_key.rs jwk.rs) \
	$(addprefix sts/claims/src/,strict_json.rs json_object.rs) $(addprefix sts/types/src/,secret_file.rs origin.rs issuer_template.rs issuers.rs) \
	$(addprefix sts/store/src/,multiset.rs watermark.rs record.rs rules.rs) \
	$(addprefix sts/store-redis/src/,mark.rs rollback_guard.rs issue.rs commit.rs load.rs seen_claims.rs lineage.rs rebuild.rs \
		registry.rs) \
	$(addprefix sts/service/src/,rules_in_force.rs revoke.rs introspect.rs redact.rs token_admin/names.rs token_admin/scan.rs) \
	$(addprefix sts/server/src/http/,failure_limit.rs client_ip.rs credentials.rs) \
	$(addprefix jwks-cache/src/,guard.rs family.rs admissions.rs candidates.rs redirect.rs entry_keys.rs) \
	$(addprefix policy/src/,pattern.rs pattern/automaton.rs pattern/language.rs condition.rs evaluate.rs resolve.rs events.rs \
		preset.rs) \
	$(addprefix policy/src/preset/,known.rs host.rs shared.rs owner.rs suggestion.rs platform.rs github.rs gitlab.rs \
		kubernetes.rs issuer_fault.rs) \
	$(addprefix policy/src/compile/,platform_use.rs broad.rs accounts.rs lints.rs))

mutants: ## every wrong line that a tool can think of in what decides, and whether a test sees it (hours); needs cargo-mutants
	$(CARGO) mutants --workspace --test-workspace=false --minimum-test-timeout 30 --shard $(MUTANTS) --output target \
		$(MUTATED) -- --lib --tests

release: ## what a release publishes, into target/dist; with IMAGE=NAME the image, too
	rm -rf target/dist && mkdir -p target/dist
	.ci/release target/dist

ci: ## what a change must pass
	.ci/run
