"""httpx2, the next httpx, for programs and libraries that ask a model with it and that nobody has heard of."""

from __future__ import annotations

from costspan.calls.description import Client
from costspan.clients import compatible

CLIENT = Client(
    name="httpx2",
    distribution="httpx2",
    versions=">=2,<3",
    module="httpx2._client",
    provider="openai",
    endpoints=compatible.ENDPOINTS,
    dialect="http_tap",
)
