"""Runs the stack of docker-compose.yml without docker, for `make stack` and for the tests."""

from stack.binaries import MissingProgramError
from stack.running import Stack

__all__ = ["MissingProgramError", "Stack"]
