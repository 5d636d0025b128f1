"""What kustomize makes of stack/kubernetes: valid, contained, of one source with the other ways to run the Collectors."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs]  it has none
import pytest
import yaml
from click.testing import CliRunner
from stack.binaries import program
from stack.compose import FILE, ROOT

from cluster import Cluster
from costspan.cli.commands import costspan
from stack_clients import needing_programs

VERSION: Final = "1.37"
#: Objects of operators, whose schemas come with the operators.
OF_OPERATORS: Final = {"PodMonitor": "monitoring.coreos.com/v1", "Instrumentation": "opentelemetry.io/v1alpha1"}
#: The one container that is root, and all that it may.
OWNER: Final = "queue-owner"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The example, as `kubectl apply -k` would send it."""
    return needing_programs(lambda: Cluster(tmp_path_factory.mktemp("cluster"), {}))


def refused(document: dict[str, Any]) -> str:
    """What the schema of Kubernetes says against an object."""
    try:
        kubernetes_validate.validate(document, VERSION, strict=True)
    except kubernetes_validate.ValidationError as fault:
        return fault.message
    return ""


def test_kubernetes_takes_every_object(cluster: Cluster) -> None:
    """Known kinds, known fields, values of the right type; objects of operators are of the versions that are named."""
    own = [each for each in cluster.documents if each["kind"] not in OF_OPERATORS]
    assert [(each["kind"], refused(each)) for each in own if refused(each)] == []
    foreign = {each["kind"]: each["apiVersion"] for each in cluster.documents if each["kind"] in OF_OPERATORS}
    assert foreign == OF_OPERATORS
    assert len(own) > len(foreign)


def test_a_mistake_is_refused(cluster: Cluster) -> None:
    """A field that is written wrong, or a value of another type: the schema is strict."""
    for path, value in (("replica", 2), ("replicas", "two")):
        broken = deepcopy(cluster.find("StatefulSet", "costspan-gateway"))
        broken["spec"][path] = value
        assert refused(broken)


def test_every_name_that_a_pod_asks_for_is_made(cluster: Cluster) -> None:
    """Configurations and secrets carry a hash of their contents, so that pods start again with what has changed."""
    for name, pod in cluster.pods().items():
        for volume in pod.get("volumes", ()):
            files = cluster.files(volume)
            assert files is None or files, (name, volume["name"])
            made = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName")
            assert made is None or re.search(r"-[a-z0-9]{10}$", made), made
        for container in pod["containers"]:
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            claimed = {"queue"} if name == "costspan-gateway" else set[str]()
            assert mounted == {volume["name"] for volume in pod["volumes"]} | claimed, name


# --- one source ---------------------------------------------------------------------------------------------------------


def test_the_configurations_are_those_of_collector_config(cluster: Cluster) -> None:
    """Word for word, and each that the Collector is told to read is there."""
    for name in ("costspan-agent", "costspan-gateway"):
        pod = cluster.pods()[name]
        (config,) = [volume for volume in pod["volumes"] if volume["name"] == "config"]
        files = cluster.files(config) or {}
        for file, text in files.items():
            assert text == (ROOT / "collector-config" / file).read_text(encoding="utf-8"), file
        assert [f"--config=/etc/otelcol/{file}" for file in files] == sorted(pod["containers"][0]["args"])
        assert pod["containers"][0]["args"][0].endswith("allow-list.yaml")


def test_a_pod_has_every_variable_that_its_configuration_asks_for(cluster: Cluster) -> None:
    """Each `${env:...}` without a value of its own, and nothing of ours besides."""
    for name, pod in cluster.pods().items():
        if not name.startswith("costspan-"):
            continue
        (config,) = [volume for volume in pod["volumes"] if volume["name"] == "config"]
        asked = {
            word
            for text in (cluster.files(config) or {}).values()
            for line in text.splitlines()
            if not line.lstrip().startswith("#")
            for word in re.findall(r"\$\{env:(\w+)\}", line)
        }
        given = cluster.environment(pod["containers"][0])
        assert asked
        assert {key for key in given if key.startswith("COSTSPAN_")} == asked, name
        mounts = tuple(mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"])
        paths = [value for key, value in given.items() if key.endswith("_FILE")]
        assert all(path.startswith(mounts) for path in paths), name


def test_an_agent_listens_where_pods_can_reach_it(cluster: Cluster) -> None:
    """What the real Collector makes of the pod's arguments: every address of the pod, with the limits of agent.yaml."""
    service = cluster.collector("shown", "costspan-agent")
    folder = next(str(mount.source) for mount in service.mounts if str(mount.inside) == "/etc/otelcol")
    words = [word.replace("/etc/otelcol", folder) for word in service.command]
    command = [str(needing_programs(lambda: program("otelcol"))), "print-config", *words]
    done = subprocess.run(command, env=service.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    merged = yaml.safe_load(done.stdout)
    ways = merged["receivers"]["otlp"]["protocols"]
    listening = [ways["grpc"]["endpoint"], ways["http"]["endpoint"], merged["extensions"]["health_check"]["endpoint"]]
    assert listening == ["0.0.0.0:4317", "0.0.0.0:4318", "0.0.0.0:13133"]
    assert (ways["grpc"]["max_recv_msg_size_mib"], ways["http"]["max_request_body_size"]) == (16, 16 << 20)


def test_the_collector_is_the_image_of_the_compose_file(cluster: Cluster) -> None:
    """By digest; and so is every other image that is not the user's own."""
    compose = set(re.findall(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", FILE.read_text(encoding="utf-8")))
    images = {
        container["image"]
        for name, pod in cluster.pods().items()
        for container in (*pod.get("initContainers", ()), *pod["containers"])
        if name.startswith("costspan-")
    }
    assert images <= compose
    dockerfile = (ROOT / "stack" / "kubernetes" / "injection" / "Dockerfile").read_text(encoding="utf-8")
    bases = re.findall(r"^(?:FROM |ARG PYTHON=)([a-z]\S+)", dockerfile, re.MULTILINE)
    assert len(bases) == 2
    assert set(bases) <= compose


# --- what a pod may do and take -----------------------------------------------------------------------------------------


def containers(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from pod.get("initContainers", ())
    yield from pod["containers"]


def _rights(container: dict[str, Any]) -> dict[str, Any]:
    return container.get("securityContext", {})


def _is_nobody_special(pod: dict[str, Any]) -> bool:
    own = pod.get("securityContext", {})
    roots = [each["name"] for each in containers(pod) if _rights(each).get("runAsUser") == 0]
    return own.get("runAsNonRoot") is True and own.get("runAsUser", 0) > 0 and set(roots) <= {OWNER}


def _has_no_capability(pod: dict[str, Any]) -> bool:
    def holds(container: dict[str, Any]) -> bool:
        said = _rights(container).get("capabilities", {})
        return said.get("drop") == ["ALL"] and said.get("add", []) == (["CHOWN"] if container["name"] == OWNER else [])

    return all(holds(each) for each in containers(pod))


def _is_bounded(pod: dict[str, Any]) -> bool:
    return all(
        {"cpu", "memory"} <= set(each.get("resources", {}).get(kind, ()))
        for each in containers(pod)
        for kind in ("requests", "limits")
    )


def _is_asked_for_its_health(pod: dict[str, Any]) -> bool:
    return all({"readinessProbe", "livenessProbe"} <= set(each) for each in pod["containers"])


def _all(what: str, value: object) -> Callable[[dict[str, Any]], bool]:
    return lambda pod: all(_rights(each).get(what) is value for each in containers(pod))


ASKED: Final[dict[str, Callable[[dict[str, Any]], bool]]] = {
    "no root": _is_nobody_special,
    "a read-only root": _all("readOnlyRootFilesystem", True),  # noqa: FBT003  a value of the manifest
    "no new privileges": _all("allowPrivilegeEscalation", False),  # noqa: FBT003
    "no capability": _has_no_capability,
    "a seccomp profile": lambda pod: pod["securityContext"].get("seccompProfile") == {"type": "RuntimeDefault"},
    "limits and requests": _is_bounded,
    "no token of the cluster": lambda pod: pod.get("automountServiceAccountToken") is False,
    "nothing of the node": lambda pod: not {"hostNetwork", "hostPID", "hostIPC"} & set(pod),
}
WATCHED: Final = ("costspan-agent", "costspan-gateway")


def faults(name: str, pod: dict[str, Any]) -> list[str]:
    """What is missing in a pod."""
    missing = [what for what, holds in ASKED.items() if not holds(pod)]
    if name in WATCHED and not _is_asked_for_its_health(pod):
        missing.append("probes")
    return missing


def test_every_pod_is_contained(cluster: Cluster) -> None:
    """The example's program, too: it is what people copy."""
    pods = cluster.pods()
    assert {*WATCHED, "support-desk"} == set(pods)
    assert {name: faults(name, pod) for name, pod in pods.items()} == {name: [] for name in pods}


#: Where a setting stands, what is put in its place (None: nothing), and what is then said to be missing.
REMOVED: Final = [
    ("securityContext/runAsNonRoot", None, "no root"),
    ("securityContext/runAsUser", 0, "no root"),
    ("containers/0/securityContext/runAsUser", 0, "no root"),
    ("containers/0/securityContext/readOnlyRootFilesystem", None, "a read-only root"),
    ("containers/0/securityContext/allowPrivilegeEscalation", None, "no new privileges"),
    ("containers/0/securityContext/capabilities", None, "no capability"),
    ("containers/0/securityContext/capabilities/add", ["NET_ADMIN"], "no capability"),
    ("securityContext/seccompProfile", None, "a seccomp profile"),
    ("containers/0/resources/limits", None, "limits and requests"),
    ("containers/0/resources/limits/memory", None, "limits and requests"),
    ("containers/0/resources/requests/cpu", None, "limits and requests"),
    ("automountServiceAccountToken", None, "no token of the cluster"),
    ("hostNetwork", True, "nothing of the node"),
    ("containers/0/readinessProbe", None, "probes"),
    ("containers/0/livenessProbe", None, "probes"),
]


@pytest.mark.parametrize(("path", "value", "what"), REMOVED, ids=[f"{row[0]}={row[1]}" for row in REMOVED])
def test_a_removed_setting_is_seen(path: str, value: Any, what: str, cluster: Cluster) -> None:
    """In agent and gateway: the check above is no ornament."""
    *way, key = path.split("/")
    for name in WATCHED:
        pod: Any = deepcopy(cluster.pods()[name])
        place = pod
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        place.pop(key, None)
        if value is not None:
            place[key] = value
        assert faults(name, pod) == [what], name


def test_a_queue_outlives_its_pod(cluster: Cluster) -> None:
    """An agent's on the disk of its node, a gateway's in a claim of its own."""
    agent = cluster.pods()["costspan-agent"]
    (queue,) = [volume for volume in agent["volumes"] if volume["name"] == "queue"]
    assert queue["hostPath"] == {"path": "/var/lib/costspan-agent", "type": "DirectoryOrCreate"}
    (claim,) = cluster.find("StatefulSet", "costspan-gateway")["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "queue"
    for name in WATCHED:
        container = cluster.pods()[name]["containers"][0]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert cluster.environment(container)["COSTSPAN_QUEUE"] == mounts["queue"]


def test_a_collector_says_later_before_the_kernel_ends_it(cluster: Cluster) -> None:
    """What Go aims at is below the memory limiter's share of the limit."""
    units = {"MiB": 1, "Mi": 1, "Gi": 1024}
    for name, file in zip(WATCHED, ("agent.yaml", "gateway.yaml"), strict=True):
        container = cluster.pods()[name]["containers"][0]
        said = yaml.safe_load((ROOT / "collector-config" / file).read_text(encoding="utf-8"))
        share = said["processors"]["memory_limiter"]["limit_percentage"] / 100
        aim, limit = (
            int(re.sub(r"\D", "", text)) * units[re.sub(r"\d", "", text)]
            for text in (cluster.environment(container)["GOMEMLIMIT"], container["resources"]["limits"]["memory"])
        )
        assert aim < share * limit, name


# --- who reaches whom ---------------------------------------------------------------------------------------------------


def test_services_policies_and_monitors_find_their_pods_and_ports(cluster: Cluster) -> None:
    """Every selector has pods, every named port exists in them; the Collectors' own figures are scraped from both."""
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in cluster.documents
        if "template" in each.get("spec", {})
    }
    scraped: set[str] = set()
    for each in cluster.documents:
        spec = each.get("spec", {})
        selector = {"Service": "selector", "NetworkPolicy": "podSelector", "PodMonitor": "selector"}.get(each["kind"])
        if selector is None:
            continue
        wanted = spec[selector].get("matchLabels", spec[selector])
        (name,) = [workload for workload, own in labels.items() if wanted.items() <= own.items()]
        known = {port["name"] for port in cluster.pods()[name]["containers"][0]["ports"]}
        ports = re.findall(r"'(?:targetPort|port)': '([\w-]+)'", str(spec))
        assert ports
        assert set(ports) <= known, each["metadata"]["name"]
        if each["kind"] == "PodMonitor":
            assert ports == ["metrics"]
            scraped.add(name)
    assert scraped == set(WATCHED)


def test_agents_find_every_gateway_by_one_name(cluster: Cluster) -> None:
    """The service without an address of its own: a trace comes to one gateway. Programs reach the agent of their node."""
    said = cluster.environment(cluster.pods()["costspan-agent"]["containers"][0])
    assert cluster.find("Service", said["COSTSPAN_GATEWAY_HOST"])["spec"]["clusterIP"] == "None"
    host = said["COSTSPAN_GATEWAY"].removeprefix("https://").partition(":")[0]
    assert cluster.find("Service", host)["spec"]["sessionAffinity"] == "ClientIP"
    assert cluster.find("Service", "costspan-agent")["spec"]["internalTrafficPolicy"] == "Local"
    endpoint = cluster.find("Instrumentation", "costspan")["spec"]["exporter"]["endpoint"]
    assert endpoint == "http://costspan-agent.costspan.svc:4318"


def test_only_who_may_send_reaches_a_collector(cluster: Cluster) -> None:
    """Programs of allowed namespaces the agents, agents the gateways, Prometheus the figures of both; nobody else."""

    def ways(name: str) -> dict[str, list[str]]:
        spec = cluster.find("NetworkPolicy", name)["spec"]
        assert spec["policyTypes"] == ["Ingress"]
        return {str(rule["from"]): [port["port"] for port in rule["ports"]] for rule in spec["ingress"]}

    allowed = "[{'namespaceSelector': {'matchLabels': {'costspan-telemetry': 'allowed'}}}]"
    agents = "[{'podSelector': {'matchLabels': {'app.kubernetes.io/name': 'costspan-agent'}}}]"
    prometheus = "[{'namespaceSelector': {'matchLabels': {'kubernetes.io/metadata.name': 'monitoring'}}}]"
    assert ways("costspan-agent") == {allowed: ["otlp-grpc", "otlp-http"], prometheus: ["metrics"]}
    assert ways("costspan-gateway") == {agents: ["otlp-grpc", "otlp-http"], prometheus: ["metrics"]}
    assert cluster.find("Namespace", "support-desk")["metadata"]["labels"]["costspan-telemetry"] == "allowed"


# --- rules --------------------------------------------------------------------------------------------------------------


def test_the_rules_are_those_of_the_compiled_files(tmp_path: Path) -> None:
    """`costspan budgets rules`: an object a file, the same groups, and promtool takes them."""
    example = str(ROOT / "examples" / "budgets" / "budgets.yaml")
    words = ["budgets", "rules", example, "--namespace", "monitoring", "--label", "release=main"]
    done = CliRunner().invoke(costspan, words)
    objects = {each["metadata"]["name"]: each for each in yaml.safe_load_all(done.stdout)}
    files = {f"costspan-{file.stem}": file for file in (ROOT / "prometheus" / "rules").glob("*.yml")}
    assert set(objects) == set(files)
    assert len(files) > 1
    for name, each in objects.items():
        assert (each["apiVersion"], each["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert each["metadata"]["namespace"] == "monitoring"
        assert each["metadata"]["labels"] == {"app.kubernetes.io/part-of": "costspan", "release": "main"}
        assert each["spec"] == yaml.safe_load(files[name].read_text(encoding="utf-8"))
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(each["spec"]), encoding="utf-8")
        promtool = needing_programs(lambda: program("promtool"))
        subprocess.run([promtool, "check", "rules", tmp_path / f"{name}.yml"], check=True, capture_output=True)


def test_a_label_without_a_value_is_told() -> None:
    """In one line, and nothing is printed that could be applied."""
    example = str(ROOT / "examples" / "budgets" / "budgets.yaml")
    done = CliRunner().invoke(costspan, ["budgets", "rules", example, "--label", "release"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "'release': expected NAME=VALUE" in done.stderr
