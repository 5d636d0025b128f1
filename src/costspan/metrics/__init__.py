"""The sums of a process: totals by labels, days, sessions, durations, and the instruments that show them."""
