"""Collectors of a fleet beside the stack: agents and gateways with the shipped configurations, certificates and tokens."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from stack import Stack
from stack.compose import ROOT, Mount, Service

from cluster import Cluster
from stack_clients import needing_programs


def collector(name: str, file: str, **environment: str) -> Service:
    """A Collector with one of the fleet's configurations."""
    return Service(
        name=name,
        image="",
        command=("--config=/etc/otelcol/allow-list.yaml", f"--config=/etc/otelcol/{file}"),
        environment={"COSTSPAN_QUEUE": "/var/lib/otelcol", **environment},
        mounts=(
            Mount(PurePosixPath("/etc/otelcol"), ROOT / "collector-config", ""),
            Mount(PurePosixPath("/var/lib/otelcol"), None, f"{name}-data"),
        ),
        published={},
        health="http://127.0.0.1:13133/",
        needs=(),
    )


def make_certificate(folder: Path) -> None:
    """A certificate for 127.0.0.1 that is its own authority: cert.pem and key.pem."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def gateway(name: str, folder: Path, store: str) -> Service:
    """A gateway that brings money to Prometheus, and events and traces to a store."""
    (folder / "tokens").write_text("of-another-team\nright-token\n")
    return collector(
        name, "gateway.yaml", COSTSPAN_CERT_FILE=f"{folder}/cert.pem", COSTSPAN_KEY_FILE=f"{folder}/key.pem",
        COSTSPAN_TOKEN_FILE=f"{folder}/tokens", COSTSPAN_PROMETHEUS="http://prometheus:9090/api/v1/otlp",
        COSTSPAN_PROMETHEUS_AUTHORIZATION_FILE=f"{folder}/stack/data/prometheus-password/costspan/authorization",
        COSTSPAN_EVENTS=store, COSTSPAN_TRACES=store,
    )  # fmt: skip


def agent(name: str, folder: Path, gateway: str, *, is_known: bool = True) -> Service:
    """The Collector of a machine, with the token of the gateway or with a wrong one."""
    token = "right" if is_known else "wrong"
    (folder / token).write_text(f"{token}-token\n")
    return collector(
        name, "agent.yaml", COSTSPAN_GATEWAY=f"https://{gateway}:4318", COSTSPAN_CA_FILE=f"{folder}/cert.pem",
        COSTSPAN_GATEWAY_HOST="127.0.0.1", COSTSPAN_TOKEN_FILE=f"{folder}/{token}",
    )  # fmt: skip


def in_pods(folder: Path, way_in: Service, *machines: Service) -> tuple[Service, ...]:
    """The same Collectors as the pods of stack/kubernetes have them; addresses and secrets are those of this machine."""
    texts = {"tls.crt": "cert.pem", "tls.key": "key.pem", "ca.crt": "cert.pem", "token": "right", "tokens": "tokens"}
    cluster = needing_programs(
        lambda: Cluster(
            folder / "cluster",
            {name: (folder / file).read_text(encoding="utf-8") for name, file in texts.items()},
            {name: way_in.environment[name] for name in ("COSTSPAN_PROMETHEUS", "COSTSPAN_EVENTS", "COSTSPAN_TRACES")},
        )
    )
    known = way_in.environment["COSTSPAN_PROMETHEUS_AUTHORIZATION_FILE"]
    pods = [cluster.collector(way_in.name, "costspan-gateway", COSTSPAN_PROMETHEUS_AUTHORIZATION_FILE=known)]
    for machine in machines:
        own = {name: machine.environment[name] for name in ("COSTSPAN_GATEWAY", "COSTSPAN_GATEWAY_HOST")}
        if "wrong" in machine.environment["COSTSPAN_TOKEN_FILE"]:
            own["COSTSPAN_TOKEN_FILE"] = machine.environment["COSTSPAN_TOKEN_FILE"]
        pods.append(cluster.collector(machine.name, "costspan-agent", **own))
    return tuple(pods)


def edit(file: Path, old: str, new: str) -> None:
    """Change a laid out configuration in one place; an AssertionError where that is not there."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file}: {old!r}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def judge_at_once(stack: Stack, name: str) -> None:
    """Let a gateway's tail sampling wait a second instead of thirty."""
    edit(stack.configuration(name) / "gateway.yaml", "decision_wait: 30s", "decision_wait: 1s")


_BY_NAME = (
    "      dns:\n        hostname: ${env:COSTSPAN_GATEWAY_HOST}\n        port: ${env:COSTSPAN_GATEWAY_PORT:-4317}\n"
)


def find_gateways(stack: Stack, agents: Iterable[str], gateways: Sequence[str]) -> None:
    """Tell agents where gateways are: one by name and port, several by address, for here they differ by port alone."""
    ports = [stack.places.port(name, 4317) for name in gateways]
    told = f"      static:\n        hostnames: [{', '.join(f'127.0.0.1:{port}' for port in ports)}]\n"
    if len(ports) == 1:
        told = _BY_NAME.replace("${env:COSTSPAN_GATEWAY_PORT:-4317}", f'"{ports[0]}"')
    for name in agents:
        edit(stack.configuration(name) / "agent.yaml", _BY_NAME, told)


def scrape(stack: Stack, *, agents: Iterable[str], gateways: Iterable[str]) -> None:
    """Write the fleet into the files of Prometheus, which looks each second."""
    settings = stack.configuration("prometheus")
    edit(settings / "prometheus.yml", "scrape_interval: 15s", "scrape_interval: 1s")
    for kind, names in (("agents", agents), ("gateways", gateways)):
        addresses = ", ".join(stack.places.address(name, 8888) for name in names)
        (settings / "targets" / f"{kind}.yml").write_text(f"- targets: [{addresses}]\n", encoding="utf-8")
