"""aiohttp itself, for programs and libraries that ask a model with it and that nobody has heard of."""

from __future__ import annotations

from costspan.calls.description import Client
from costspan.clients import compatible

CLIENT = Client(
    name="aiohttp",
    distribution="aiohttp",
    versions=">=3.9,<4",
    module="aiohttp.client",
    provider="openai",
    endpoints=compatible.ENDPOINTS,
    dialect="http_tap_aiohttp",
)
