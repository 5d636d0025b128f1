"""Write the tables of client libraries into docs/clients.md and README.md.

python scripts/show_clients.py [--check]
"""

from __future__ import annotations

from collections.abc import Iterable

from costspan.calls.description import Client, Endpoint
from costspan.clients import CLIENTS, compatible, described
from costspan.clients.libraries import HTTP_CLIENTS
from costspan.facts.sellers import GATEWAYS, SELLERS
from pages import ROOT, code, deliver, table, with_parts

README = ROOT / "README.md"
PAGE = ROOT / "docs" / "clients.md"


def operations(client: Client) -> list[str]:
    """What its endpoints and its sockets do, each once."""
    of_sockets = [endpoint for socket in client.sockets for endpoint in socket.endpoints]
    return list(dict.fromkeys(endpoint.operation for endpoint in (*client.endpoints, *of_sockets)))


def overview() -> str:
    """One line for each library: which versions are tested, what is counted."""
    rows = [
        (code(client.distribution), client.versions.replace(",", ", "), ", ".join(operations(client)).replace("_", " "))
        for client in CLIENTS
    ]
    return table(("client library", "tested versions", "what is counted"), rows)


def in_full(client: Client) -> str:
    """What is known of one library."""
    lines = [f"## {client.distribution}", "", f"Tested versions: `{client.versions}`. Provider: `{client.provider}`."]
    if client.native_tracer:
        lines[-1] += " It can emit a span of its own: costspan then writes on that one."
    lines += ["", endpoints(client.endpoints)]
    if client.sockets:
        sockets = [
            (code(socket.method), ", ".join(endpoint.operation for endpoint in socket.endpoints))
            for socket in client.sockets
        ]
        lines += [
            "",
            "Sockets, for [each answer that comes on them](#sockets):",
            "",
            table(("method", "operation"), sockets),
        ]
    if client.classes:
        who = [(code(name), code(provider)) for name, provider in client.classes]
        lines += ["", "Who answers, by the class of the client:", "", table(("class", "provider"), who)]
    charged = [
        *(path.replace("{}", "<id>") for path in client.uncounted),
        *(f"{told}()" for told, *_ in client.uncounted_functions),
    ]
    if charged:
        lines += [
            "",
            f"Charged for and not counted; the first use is named on the log: {code(*dict.fromkeys(charged))}.",
        ]
    if client.asks_usage_of:
        lines += ["", f"Streams are asked for their usage at {code(*client.asks_usage_of)}."]
    return "\n".join(lines)


def endpoints(known: Iterable[Endpoint]) -> str:
    """What is counted, by its path."""
    rows = [
        (code(endpoint.path.replace("{}", "<id>")), endpoint.operation, remarks(endpoint))
        for endpoint in known
        if endpoint.names is None or endpoint.items is not None  # else it only tells of a job
    ]
    return table(("path ends in", "operation", "remarks"), rows)


def http_clients() -> str:
    """The HTTP libraries that are watched where the user says so, and the paths."""
    rows = [(code(client.distribution), client.versions.replace(",", ", ")) for client in map(described, HTTP_CLIENTS)]
    return f"{table(('HTTP library', 'tested versions'), rows)}\n\n{endpoints(compatible.ENDPOINTS)}"


def sellers() -> str:
    """Who answers at which hosts, one row for each provider."""
    places: dict[tuple[str, str], list[str]] = {}
    for remark, rows in (("", SELLERS), ("through a gateway", GATEWAYS)):
        for place, provider in rows:
            places.setdefault((provider, remark), []).append(place)
    shown = [(code(provider), code(*sorted(at)), remark) for (provider, remark), at in sorted(places.items())]
    return table(("provider", "host, beginning of the path", "remarks"), shown)


def remarks(endpoint: Endpoint) -> str:
    """What is special about an endpoint."""
    if endpoint.fetches:
        return "booked only if the answer was made in the background"
    if endpoint.each:
        return "each answer that is fetched is a call, once"
    return "a stream is asked for its usage" if endpoint.asks_usage else ""


def shown(page: str) -> str:
    """A page with the overview, and the full account where it has a place for it."""
    parts = {"clients": overview()}
    if "<!-- endpoints -->" in page:
        parts["endpoints"] = "\n\n".join(in_full(client) for client in CLIENTS)
        parts["http-clients"] = http_clients()
        parts["sellers"] = sellers()
    return with_parts(page, parts)


if __name__ == "__main__":
    deliver({README: shown, PAGE: shown}, str(__doc__))
