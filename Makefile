# Everything Vedette needs is set up by the target that needs it: see .ci/setup.
#
#   make up      build, then one run of everything on this machine: Kafka, engine, policy, a table at the end
#   make test    every check there is, as in .ci/run
#   make bench-certs  the authority and the agent, measured beside step-ca
#   make bench-policy   the policy webhook beside OPA, a bare gRPC server and Envoy without it
#   make live    recorded hijacks through a real Envoy and two replicas of the webhook (LIVE_DATA=DIR LIVE_SETS=a,b)
#   make bench   the benches        make fuzz   each fuzz target for a short while (FUZZ_SECONDS=20)
#   make bench-engine   the engine beside Kafka's own tool and a bare transactional echo, on a real Kafka
#   make redteam         attackers who adapt to the model: 1,000 tries a hijack (ARGS="--data DIR --set NAME")
#   make soak           ten minutes of engines killed at random and a broker restarted (SOAK_SECONDS=600)
#   make cross   vedette-agent for aarch64 and armv7
#   make kafka   Apache Kafka's jars, for the tests against a real one
#   make clean   removes what was built
#
# ARGS goes to `vedette up --once` and to the engine's bench, as in: make up ARGS="--data DIR --set NAME"

export CARGO_TARGET_DIR ?= $(HOME)/.cache/vedette-target

.PHONY: up test redteam bench bench-certs bench-engine bench-policy cross live soak fuzz kafka clean

up:
	@.ci/setup build
	cargo build --release --locked -p vedette
	"$(CARGO_TARGET_DIR)/release/vedette" up --once $(ARGS)

test:
	@.ci/test

redteam:
	@.ci/setup build
	cargo build --release --locked -p vedette
	"$(CARGO_TARGET_DIR)/release/vedette" fit --out "$(CARGO_TARGET_DIR)/redteam.model" $(ARGS)
	"$(CARGO_TARGET_DIR)/release/vedette" redteam --model "$(CARGO_TARGET_DIR)/redteam.model" $(ARGS)

bench:
	@.ci/setup build
	@.ci/machine
	cargo bench --locked --workspace --benches

bench-certs:
	@.ci/setup build
	@.ci/bench-certs

bench-policy:
	@.ci/bench-policy

cross:
	@.ci/setup build cross
	@.ci/cross

live:
	@.ci/setup build
	@.ci/machine
	@policy/tests/gateways/setup.sh
	VEDETTE_LIVE_DATA="$(abspath $(or $(LIVE_DATA),../shared/data))" VEDETTE_LIVE_SETS=$(or $(LIVE_SETS),agentdojo,agentdyn_dailylife) \
	    cargo test --release --locked -p vedette --test live -- --nocapture

bench-engine: kafka
	cargo bench --locked -p vedette --bench engine -- $(ARGS)

soak: kafka
	VEDETTE_SOAK_SECONDS=$(or $(SOAK_SECONDS),600) cargo test --release --locked -p vedette --test behaviour -- \
	    --exact --nocapture engine::engines_killed_at_random_say_of_every_call_once_what_score_says

fuzz:
	@.ci/setup build fuzz
	@.ci/fuzz

kafka:
	@.ci/setup build kafka
	@.ci/kafka

clean:
	cargo clean
