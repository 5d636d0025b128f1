"""Who a call is for: session, task type, source, team, account."""

from __future__ import annotations

from typing import Final, NamedTuple


class Attribution(NamedTuple):
    """Who a call is for, a field for each of `attribution_words.WORDS`. None means that nobody said."""

    session: str | None = None
    task_type: str | None = None
    source: str | None = None
    team: str | None = None
    account: str | None = None

    def over(self, outer: Attribution) -> Attribution:
        """This attribution, with the outer one where this one is silent."""
        return Attribution(*[mine if mine is not None else theirs for mine, theirs in zip(self, outer, strict=True)])


NOBODY: Final = Attribution()
