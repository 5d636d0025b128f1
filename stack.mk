# The stack without docker; the Makefile includes this file and defines BIN and READY.

.PHONY: binaries stack chaos

binaries: $(READY) ## Build or find the Collector, Prometheus and Alertmanager: minutes, once
	$(BIN)/python -m stack binaries

stack: $(READY) ## Run the stack of docker-compose.yml without docker, until Ctrl-C
	$(BIN)/python -m stack run

chaos: $(READY) ## Prove by faults that no cent gets lost between a call and its alert
	$(BIN)/python -m stack chaos
