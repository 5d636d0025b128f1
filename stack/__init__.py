"""Runs the stack of docker-compose.yml without docker, for `make stack` and for the tests."""

from stack.binaries import MissingProgramError
from stack.running import HASTE, Stack

__all__ = ["HASTE", "MissingProgramError", "Stack"]
