"""A support desk made of agents: the demo of costspan. Start it with:

    costspan run python examples/agent/agent.py

It talks to a stand-in for the providers on this machine: no key, no cost. Costspan watches it because of how it is
started. The one thing that has to be said in code is who a call is for: `costspan.attribution` below.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import skills
from stand_in import serving

import costspan

HERE = Path(__file__).parent


def anna() -> None:
    """A customer talks to the main agent: a tool, then a stream."""
    with costspan.attribution(session="anna", task_type="support_chat", source="main_agent"):
        tell("Anna asks for her order", skills.answer_with_tool("Where is order 4711?"))
        tell("Anna moves house", skills.answer_live("May I still change the address?"))


def ben() -> None:
    """Another one talks to Claude, and leaves in the middle of the second answer."""
    with costspan.attribution(session="ben", task_type="support_chat", source="main_agent"):
        tell("Ben complains", skills.write_live("My parcel is broken, what now?"))
        tell("Ben closes the window", skills.write_until_interrupted("Do I have to send it back?") + " ...")
        with costspan.attribution(task_type="triage"):
            tell("A model of the house sorts", skills.triage("Is this a complaint: my parcel is broken?"))


@costspan.attribution(session="night", task_type="summarise", source="task_agent")
async def night_shift() -> None:
    """Task agents at work side by side; each task inherits who it is for."""
    letters = [f"Letter {number} of a customer about order {number}." for number in range(6)]
    tell("Six letters at once", (await skills.summarise(letters))[0])
    with costspan.attribution(task_type="research"):
        tell("A model that thinks", await skills.research("What do customers ask for most?"))


@costspan.attribution(session="index", task_type="index", source="task_agent")
def keep_the_index() -> None:
    """A task agent that nobody waits for, and a provider with a bad day."""
    tell("Embeddings", f"{skills.index([skills.HANDBOOK, skills.look_up('4711')])} texts")
    tell("A provider that is busy", skills.ask_a_busy_provider("Which rule is new?"))
    tell("A provider that is down", skills.ask_a_broken_provider("Which rule is old?"))


def heartbeat() -> None:
    """A process of its own, without a word of costspan in it: the environment says who it is for."""
    who = {"OTEL_COSTSPAN_SESSION": "watchdog", "OTEL_COSTSPAN_TASK_TYPE": "watch", "OTEL_COSTSPAN_SOURCE": "heartbeat"}
    subprocess.run([sys.executable, str(HERE / "heartbeat.py")], env=os.environ | who, check=True)  # noqa: S603


def tell(what: str, answer: str) -> None:
    """One line on the terminal."""
    print(f"  {what:28}{answer[:60]}")


def main() -> None:
    """The whole day of the support desk."""
    with ExitStack() as stack:
        stand_in = os.environ.get("STAND_IN_URL") or stack.enter_context(serving())
        os.environ |= {
            "OPENAI_BASE_URL": f"{stand_in}/v1",
            "OPENAI_API_KEY": "no key needed",
            "ANTHROPIC_BASE_URL": stand_in,
            "ANTHROPIC_API_KEY": "no key needed",
        }
        anna()
        ben()
        asyncio.run(night_shift())
        keep_the_index()
        heartbeat()


if __name__ == "__main__":
    main()
