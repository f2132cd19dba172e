# What people and CI do with this repository. Only test-packages installs anything.

CARGO ?= cargo

.PHONY: demo test test-postgres test-packages test-alone crash simulate check deb doc book fuzz-smoke fuzz

# Two federated nodes, a small Internet and a day of mail on this machine; the status page stays until Ctrl-C.
demo:
	$(CARGO) run --locked -p sm2tp -- demo

# All tests, as root. They talk to real programs (Postfix, Dovecot, swaks and more); one that misses its program fails.
test:
	$(CARGO) test --locked --workspace --profile ci
	$(MAKE) test-postgres

# The tests of all that lies in the ledger once more, on PostgreSQL, which they start. The largest asks it half a million questions.
test-postgres:
	SM2TP_STORE_TESTS=postgres $(CARGO) test --locked --workspace --profile ci --lib -- ledger:: accounts persons tokens alerts audit \
	    idempotency confirm senders returns federated webhooks outbox sql:: --skip fifty_thousand

# The programs that they talk to, from Debian's packages.
test-packages:
	scripts/test-packages

# The tests that need neither root nor a program of other people: everything that is decided, but little of what is wired.
test-alone:
	$(CARGO) test --locked --profile ci -p sm2tp-proto -p sm2tp-rules -p sm2tp-federation -p sm2tp-store

# The long run of the crash test: a node under load is killed a hundred times, and nothing is lost. Some minutes.
crash:
	SM2TP_CRASH_ROUNDS=100 $(CARGO) test --locked --profile ci -p sm2tp --test all a_killed_node -- --nocapture

# The spool on a disk that fails, fills up and forgets: many seeds. One of them again: SM2TP_SEED=N make simulate
simulate:
	SM2TP_RUNS=$${SM2TP_RUNS:-200} $(CARGO) test --locked --profile ci -p sm2tp-store simulation -- --nocapture

# What a reviewer should not have to say.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --profile ci -- -D warnings
	scripts/licences.py

# The Debian package, in target/deb. The build of the program for a release takes some minutes.
deb:
	scripts/deb

doc:
	$(CARGO) doc --locked --workspace --no-deps

# The documentation as a web site, in target/book. mdbook from the PATH, or fetched with pip; no npm.
book:
	scripts/book

# The seeded mutations alone, for somebody who changes a parser; `make test` runs them, too.
fuzz-smoke:
	$(CARGO) test --locked --profile ci -p sm2tp-proto --test all -- mutation fuzz
	$(CARGO) test --locked --profile ci -p sm2tp-federation --lib hostile
	$(CARGO) test --locked --profile ci -p sm2tp --test all fuzz
	$(CARGO) test --locked --profile ci -p sm2tp --bin sm2tp whatever_stands
	$(CARGO) test --locked --profile ci -p sm2tp-doors --lib whatever

# Each target of fuzz/ for FUZZ_SECONDS. Needs `cargo install cargo-fuzz`; the compiler of this project will do.
FUZZ_SECONDS ?= 120
fuzz:
	for target in $$(ls fuzz/fuzz_targets | sed 's/\.rs$$//'); do \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none -a $$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 || exit 1; \
	done
