"""Who a call is for: session, task type, source, team, account."""

from __future__ import annotations

from typing import Final, NamedTuple

MAIN_AGENT: Final = "main_agent"
TASK_AGENT: Final = "task_agent"
HEARTBEAT: Final = "heartbeat"
SOURCES: Final = (MAIN_AGENT, TASK_AGENT, HEARTBEAT)


class Attribution(NamedTuple):
    """Who a call is for. None means that nobody said.

    `session` is a conversation or run, `task_type` what kind of work, `source` who initiated it (one of SOURCES,
    or the user's own word), `team` who works, `account` whom the usage is billed to.
    """

    session: str | None = None
    task_type: str | None = None
    source: str | None = None
    team: str | None = None
    account: str | None = None

    def over(self, outer: Attribution) -> Attribution:
        """This attribution, with the outer one where this one is silent."""
        return Attribution(*[mine if mine is not None else theirs for mine, theirs in zip(self, outer, strict=True)])


NOBODY: Final = Attribution()
