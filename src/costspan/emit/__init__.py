"""One finished call, told to everybody: span, counters, usage event, ledger."""
