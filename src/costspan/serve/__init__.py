"""The HTTP server over the ledger: an API and a page with the answers that `costspan usage` gives."""
