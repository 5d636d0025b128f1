"""Watching the calls of client libraries. Knows no provider, no telemetry, no database."""
