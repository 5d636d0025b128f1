"""Makes calls under a budgets.yaml until one is refused, or until it is killed; tells how many were answered."""

from __future__ import annotations

import sys

import openai

import costspan


def main(most: int) -> None:
    """So many calls at most; a refused one is tried again when those under way may be over."""
    answered = refused = 0
    with openai.OpenAI() as client:
        for _ in range(most):
            try:
                client.chat.completions.create(
                    model="gpt-4o-mini", messages=[{"role": "user", "content": "How are you?"}], max_tokens=20
                )
                answered += 1
            except costspan.BudgetExceeded:  # noqa: PERF203 - each is tried
                refused += 1
    print(answered, refused)


costspan.instrument()
main(int(sys.argv[1]))
