# The stack without docker; the Makefile includes this file. PYTHON is the interpreter of the development environment.
PYTHON ?= .venv/bin/python

.PHONY: binaries stack chaos

binaries: ## Build or find the Collector, Prometheus, Alertmanager and their tools (minutes, once)
	$(PYTHON) -m stack binaries

stack: ## Run the stack of docker-compose.yml without docker, until Ctrl-C
	$(PYTHON) -m stack run

chaos: ## Prove by faults that no cent is lost between a call and its alert
	$(PYTHON) -m stack chaos
