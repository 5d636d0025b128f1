"""The ledger: one SQLite file on this machine that keeps every finished call."""
