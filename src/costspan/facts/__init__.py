"""Plain values: what a call used, what it cost, who it was for. Standard library only."""
