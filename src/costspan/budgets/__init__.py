"""Budgets: declared once in budgets.yaml, watched by Prometheus rules, shown by `costspan budgets status`."""
