"""httpx itself, for programs and libraries that ask a model with it and that nobody has heard of."""

from __future__ import annotations

from costspan.calls.description import Client
from costspan.clients import compatible

CLIENT = Client(
    name="httpx",
    distribution="httpx",
    versions=">=0.27,<1",
    module="httpx._client",
    provider="openai",
    endpoints=compatible.ENDPOINTS,
    dialect="http_tap",
)
