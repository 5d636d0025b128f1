"""Calls until it is killed; each call that has returned is told by a line: its tokens of input and output."""

from __future__ import annotations

import os
import sys

import openai


def main(most: int) -> None:
    """Make so many calls, one after the other."""
    with openai.OpenAI() as client:
        for _ in range(most):
            answer = client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "How are you?"}]
            )
            assert answer.usage
            os.write(1, b"%d %d\n" % (answer.usage.prompt_tokens, answer.usage.completion_tokens))


main(int(sys.argv[1]))
