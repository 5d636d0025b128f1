"""The program under load: an agent with the real openai client that does what its standard input says.

`call 5` makes five calls, `fork 2 5` has two forked children make five calls each, `clock 1793491190` sets the clock of
this process to that second; `work`, `sessions`, `pace` and `poison` are those of offline.py. Each is answered by `done`. The end of
the input is the end of the program.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from datetime import datetime, timezone

import openai

import costspan
from stack.chaos import clock, offline
from stack.chaos.provider import MODEL

CLIENT = openai.OpenAI(base_url=os.environ["CHAOS_PROVIDER"], api_key="none")
CASE = os.environ["CHAOS_CASE"]


def call(count: int) -> None:
    """Call the model, whole and streamed by turns. The provider is told the day, by the clock of this process."""
    for number in range(count):
        user = f"{CASE}/{datetime.fromtimestamp(time.time(), timezone.utc):%Y%m%d}"
        session, source = f"{CASE}-{os.getpid()}-{number % 3}", ("main_agent", "task_agent", "heartbeat")[number % 3]
        with costspan.attribution(session=session, source=source, task_type=CASE, team=CASE):
            if number % 2:
                for _ in CLIENT.chat.completions.create(model=MODEL, messages=[], user=user, stream=True):
                    pass
            else:
                CLIENT.chat.completions.create(model=MODEL, messages=[], user=user)


def fork(children: int, count: int) -> None:
    """Let forked children call."""
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=call, args=(count,)) for _ in range(children)]
    for child in started:
        child.start()
    for child in started:
        child.join()


# The clock obeys only where shifted.py has installed it.
WORDS = {
    "call": call, "fork": fork, "clock": clock.set_to,
    "work": offline.work, "sessions": offline.sessions, "pace": offline.pace, "poison": offline.poison,
}  # fmt: skip


def main() -> None:
    """Obey until the input ends."""
    for line in sys.stdin:
        word, *numbers = line.split()
        WORDS[word](*map(int, numbers))
        print("done", flush=True)


if __name__ == "__main__":
    main()
