"""Programs on runtimes that take the place of Python's threads or of asyncio's loop: each makes the same calls at once.

`NUMBER` calls, whole and streamed by turns, each for a session that is said where it is handed over, and one that is given up.
"""

from __future__ import annotations

from typing import Final, NamedTuple

NUMBER: Final = 20
NEVER: Final = "Never answer."

_WHO: Final = """
import contextlib, sys
if "costspan" in sys.modules:  # it is watched
    from costspan import attribution
else:
    def attribution(session):
        return contextlib.nullcontext()
"""
_SYNC: Final = (
    _WHO
    + f"""
import contextvars
from concurrent.futures import ThreadPoolExecutor
client = openai.OpenAI(max_retries=0, timeout=60)

def ask(at, text="How are you?"):
    asked = dict(model="gpt-4o-mini", messages=[dict(role="user", content=text)])
    if at % 2:
        client.chat.completions.create(**asked)
    else:
        for _ in client.chat.completions.create(**asked, stream=True):
            pass

def give_up():
    with gevent.Timeout(1, False):
        ask(1, {NEVER!r})

asking = []
for at in range({NUMBER}):
    with attribution(session=f"s{{at}}"):
        asking.append(gevent.spawn(ask, at))
word, theirs, kept = contextvars.ContextVar("word"), contextvars.Context(), []
theirs.run(word.set, "the program's own")
own = gevent.Greenlet(lambda: kept.append(word.get()))
own.gr_context = theirs
with attribution(session="none of its"):
    own.start()
own.join()
assert kept == ["the program's own"]
pool = ThreadPoolExecutor(1)  # a greenlet as well, that lives on: each task is its own
with attribution(session="first"):
    pool.submit(ask, 1).result()
pool.submit(ask, 1).result()
with attribution(session="given up"):
    asking.append(gevent.spawn(give_up))
gevent.joinall(asking, raise_error=True)
print("done")
"""
)
_ASYNC: Final = (
    _WHO
    + """
import openai

async def ask(at, text="How are you?"):
    asked = dict(model="gpt-4o-mini", messages=[dict(role="user", content=text)])
    if at % 2:
        await client.chat.completions.create(**asked)
    else:
        async for _ in await client.chat.completions.create(**asked, stream=True):
            pass
"""
)


class Runtime(NamedTuple):
    """A program, what it needs, and with what it gives its last call up."""

    needs: str
    program: str
    error: str
    sessions: frozenset[str | None] = frozenset()  # beside those of all


RUNTIMES: Final = {
    "gevent": Runtime(
        "gevent",
        "from gevent import monkey; monkey.patch_all()\nimport gevent, openai\n" + _SYNC,
        "Timeout",
        frozenset({"first", None}),
    ),
    # What was made before the patch is of the system: the library of the calls, and what costspan has made for it.
    "gevent, late": Runtime(
        "gevent",
        "import openai\nfrom gevent import monkey; monkey.patch_all()\nimport gevent\n" + _SYNC,
        "Timeout",
        frozenset({"first", None}),
    ),
    "trio": Runtime(
        "trio",
        _ASYNC
        + f"""
import trio

async def give_up():
    with trio.move_on_after(1):
        await ask(1, {NEVER!r})

async def main():
    global client
    async with openai.AsyncOpenAI(max_retries=0, timeout=60) as client, trio.open_nursery() as nursery:
        for at in range({NUMBER}):
            with attribution(session=f"s{{at}}"):
                nursery.start_soon(ask, at)
        with attribution(session="given up"):
            nursery.start_soon(give_up)
        while nursery.child_tasks:
            await trio.sleep(0.01)

trio.run(main)
print("done")
""",
        "Cancelled",
    ),
    "uvloop": Runtime(
        "uvloop",
        _ASYNC
        + f"""
import asyncio, uvloop

async def main():
    global client
    asking = []
    async with openai.AsyncOpenAI(max_retries=0, timeout=60) as client:
        for at in range({NUMBER}):
            with attribution(session=f"s{{at}}"):
                asking.append(asyncio.create_task(ask(at)))
        with attribution(session="given up"):
            lost = asyncio.create_task(ask(1, {NEVER!r}))
        await asyncio.gather(*asking)
        await asyncio.wait([lost], timeout=1)
        lost.cancel()
        await asyncio.wait([lost])

uvloop.run(main())
print("done")
""",
        "CancelledError",
    ),
}

#: What gunicorn serves: an application that is imported before gunicorn's gevent worker puts its threads in place of Python's.
APPLICATION: Final = """
import openai

client = openai.OpenAI(max_retries=0, timeout=60)

def application(environ, start_response):
    client.chat.completions.create(model="gpt-4o-mini", messages=[dict(role="user", content="How are you?")])
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"done"]
"""
