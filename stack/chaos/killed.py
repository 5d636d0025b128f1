"""A program that calls until it is killed: `python killed.py NAME`. A line says which call has returned."""

from __future__ import annotations

import itertools
import os
import sys

import openai

import costspan
from stack.chaos.provider import MODEL


def main(name: str) -> None:
    """Call for ever."""
    client = openai.OpenAI(base_url=os.environ["CHAOS_PROVIDER"], api_key="none")
    with costspan.attribution(team=name):
        for number in itertools.count():
            user = f"{name}/{number}"
            client.chat.completions.create(model=MODEL, messages=[], user=user)
            os.write(1, f"{user}\n".encode())


main(sys.argv[1])
