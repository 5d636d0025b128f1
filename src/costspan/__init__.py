"""Costspan puts a price on every LLM call, without a change in the program that makes it."""
