"""Vendors of LLM telemetry: how a program sets each up by its own documentation, sending to an address of the test."""

from __future__ import annotations

from typing import Final, NamedTuple


class Vendor(NamedTuple):
    """One of them: the modules that it needs, its lines in a program, the end of it, the variables that it reads."""

    needs: tuple[str, ...]
    setup: str
    end: str
    environ: dict[str, str]
    entry: str = ""  # the name under which OpenTelemetry's launcher starts it, if it does
    gains: frozenset[str] = frozenset()  # attributes that it has of the usage that streams are asked for
    exports_abandoned: bool = True  # whether it ever ends the span of a stream that is not read to its end
    beside: int = 0  # how many of the calls have a span of ours beside its own


VENDORS: Final = {
    "openlit": Vendor(
        ("openlit",),
        "import openlit, openai\n"
        "openlit.init(otlp_endpoint=SINK, pricing_json='prices.json', disabled_instrumentors=['httpx'])",
        "",
        {},
        exports_abandoned=False,
    ),
    "openllmetry": Vendor(
        ("traceloop",),
        "import openai\n"
        "from traceloop.sdk import Traceloop\n"
        "from traceloop.sdk.instruments import Instruments\n"
        "Traceloop.init(app_name='agent', api_endpoint=SINK, api_key='k', instruments={Instruments.OPENAI})",
        "Traceloop.flush() if hasattr(Traceloop, 'flush') else None",
        {"TRACELOOP_TELEMETRY": "false"},
        "openai",
        # The span of a response is made when the stream is over; that of a stream which is not read to its end is over by then.
        beside=3,
    ),
    "logfire": Vendor(
        ("logfire",),
        "import logfire, openai\n"
        "logfire.configure(token='k', send_to_logfire=True, console=False, inspect_arguments=False, data_dir='.',\n"
        "    advanced=logfire.AdvancedOptions(base_url=SINK))\n"
        "logfire.instrument_openai()",
        "logfire.force_flush()",
        {},
        # It reads streams beneath costspan, so the event with the usage, which the caller does not get, is in its log.
        gains=frozenset({"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.raw"}),
        beside=5,  # of a stream, its span ends when the stream begins
    ),
    "langfuse": Vendor(
        ("langfuse",),
        "from langfuse import Langfuse\n"
        "langfuse = Langfuse(public_key='pk', secret_key='sk', base_url=SINK)\n"
        "from langfuse.openai import openai",
        "langfuse.flush()",
        {},
        beside=1,  # of the stream that is left: its span has ended by then
    ),
}

#: Calls of each kind; the first fails, one stream is closed before its end, one is left. What the caller got is printed.
PROGRAM: Final = """
import asyncio, gc, json, os, sys
SINK = os.environ["SINK"]
if "before" in sys.argv:
    import costspan
    costspan.instrument()
{setup}
if "after" in sys.argv:
    import costspan
    costspan.instrument()

asked = dict(model="gpt-4o-mini", messages=[{{"role": "user", "content": "How are you?"}}])
got = []

def note(answer):
    got.append(answer.to_json() if hasattr(answer, "to_json") else repr(answer))

def calls():
    with openai.OpenAI(max_retries=0) as client:
        create = client.chat.completions.create
        try:
            create(**asked)
        except openai.BadRequestError as refused:
            note(refused)
        note(create(**asked))
        for chunk in create(**asked, stream=True):
            note(chunk)
        with client.responses.create(model="gpt-4o-mini", input="How are you?", stream=True) as stream:
            for event in stream:
                note(event)
        with create(**asked, stream=True) as stream:
            note(next(stream))
            note(next(stream))
        del stream
        gc.collect()  # streams are parts of cycles: whoever follows one learns of its end when it is collected
        for chunk in create(**asked, stream=True):
            note(chunk)
            break
    gc.collect()

async def async_calls():
    async with openai.AsyncOpenAI(max_retries=0) as client:
        create = client.chat.completions.create
        note(await create(**asked))
        async for chunk in await create(**asked, stream=True):
            note(chunk)

calls()
asyncio.run(async_calls())
{end}
print("GOT", json.dumps(got))
"""
_ANSWERED: Final = ("ok", "exact", 5_625)
_ABANDONED: Final = ("abandoned", "estimated", None)
#: Outcome, quality and, where it is known, cost of each call.
CALLS: Final = [("error", None, None), *[_ANSWERED] * 3, *[_ABANDONED] * 2, *[_ANSWERED] * 2]
