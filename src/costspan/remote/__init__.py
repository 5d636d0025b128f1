"""A `costspan serve` that is asked over HTTP: what a program asks its ledger, where that lies elsewhere."""
