"""A function of AWS Lambda and the like: the runtime freezes the process as soon as the handler has returned.

What has not left the process by then may never do: `flush(send=True)` returns when the SDK has sent it. The disk goes
away with the function, so let OTLP take the record: start it with OpenTelemetry's launcher or layer, or as below.
"""

import os
from typing import Any

import openai
from opentelemetry.instrumentation import auto_instrumentation

import costspan

if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
    auto_instrumentation.initialize()  # sets OpenTelemetry up, as its launcher does, and starts costspan with it
costspan.instrument()  # elsewhere, such as on your own machine, the ledger takes the record
client = openai.OpenAI()


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Answer an event."""
    asked = [{"role": "user", "content": event["question"]}]
    try:
        with costspan.attribution(session=event["conversation"], task_type="support_chat"):
            done = client.chat.completions.create(model="gpt-4o-mini", messages=asked)
        return {"answer": done.choices[0].message.content}
    finally:
        costspan.flush(send=True)
