# The tests of the engine with the oldest and the latest clients, in environments of their own under .envs/.

.PHONY: test-matrix
test-matrix: $(READY) ## Run the engine's tests with the oldest and latest clients, Python 3.10 to 3.13
	$(BIN)/python scripts/matrix.py
