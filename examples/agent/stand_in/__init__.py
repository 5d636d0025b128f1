"""A stand-in for the HTTP APIs of OpenAI and Anthropic: no key, no network, the same answer to the same question.

It counts what it serves, and tells it under `/served`: whoever counts the calls at the other end can be compared
with it. Start it alone with `python -m stand_in`.
"""

from stand_in.server import serving

__all__ = ["serving"]
