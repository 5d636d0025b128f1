"""The proof by faults: what a provider served is what the ledger, Prometheus, panel and alert say, whatever breaks."""
