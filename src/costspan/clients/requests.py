"""requests itself, for programs and libraries that ask a model with it and that nobody has heard of."""

from __future__ import annotations

from costspan.calls.description import Client
from costspan.clients import compatible

CLIENT = Client(
    name="requests",
    distribution="requests",
    versions=">=2.28,<3",
    module="requests.sessions",
    provider="openai",
    endpoints=compatible.ENDPOINTS,
    dialect="http_tap_requests",
)
