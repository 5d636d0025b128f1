"""What a container of docker-compose.yml may do and take: its user, its rights, what it writes, memory, logs, images."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from stack import Stack
from stack.binaries import program
from stack.compose import FILE, ROOT

from costspan.names import COST_USD
from stack_clients import needing_programs, new_job, post, request

#: Services that do their work and end.
ENDING: Final = {"password", "agent"}
#: Images whose digest nobody could be asked for: they are named by their tag alone, which docs/stack.md says.
BY_TAG: Final = {"prom/prometheus:v3.16.0", "prom/alertmanager:v0.35.0"}
_MIB: Final = 1 << 20


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file as docker compose understands it, with every profile."""
    command = [str(needing_programs(lambda: program("docker-compose"))), "--profile", "*", "-f", str(FILE)]
    done = subprocess.run([*command, "config", "--format", "json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- what is asked of each service ------------------------------------------------------------------------------------


def _is_nobody_special(service: dict[str, Any]) -> bool:
    return re.fullmatch(r"[1-9]\d*:\d+", service.get("user", "")) is not None


def _is_bounded(service: dict[str, Any]) -> bool:
    memory = int(service.get("mem_limit", 0))
    return 32 * _MIB <= memory <= 4096 * _MIB and 0 < service.get("cpus", 0) <= 2 and service.get("pids_limit", 0) > 0


def _has_ending_logs(service: dict[str, Any]) -> bool:
    options = service.get("logging", {}).get("options", {})
    return options.get("max-size") == "10m" and options.get("max-file") == "3"


def _has_bounded_memory_files(service: dict[str, Any]) -> bool:
    return all(re.search(r":size=\d+m$", words) for words in service.get("tmpfs", ()))


def _writes_only_to_volumes(service: dict[str, Any]) -> bool:
    return all(mount["type"] == "volume" or mount.get("read_only") for mount in service.get("volumes", ()))


#: What every service has to be, and how to see it.
ASKED: Final[dict[str, Callable[[dict[str, Any]], bool]]] = {
    "no root": _is_nobody_special,
    "a read-only root": lambda service: service.get("read_only") is True,
    "no capability": lambda service: service.get("cap_drop") == ["ALL"] and not service.get("cap_add"),
    "no new privileges": lambda service: "no-new-privileges:true" in service.get("security_opt", ()),
    "not privileged": lambda service: not service.get("privileged") and "host" not in service.get("network_mode", ""),
    "limits of memory, processors and processes": _is_bounded,
    "logs that end": _has_ending_logs,
    "a bound for files in memory": _has_bounded_memory_files,
    "writing to volumes only": _writes_only_to_volumes,
}


def faults(name: str, service: dict[str, Any]) -> list[str]:
    """What is missing in a service."""
    missing = [what for what, holds in ASKED.items() if not holds(service)]
    if (service.get("restart") == "unless-stopped") == (name in ENDING):
        missing.append("restarted unless it ends by itself")
    if ("healthcheck" in service) == (name in ENDING):
        missing.append("asked for its health unless it ends by itself")
    return missing


def test_every_service_is_contained(compose: dict[str, Any]) -> None:
    """No root, no right, no root file system to write to, no memory, processor or log without a bound."""
    assert {name: faults(name, service) for name, service in compose["services"].items()} == {
        name: [] for name in compose["services"]
    }


#: Every setting that carries something here: what is done to it, and what is then said to be missing.
REMOVED: Final = [
    ("user", None, "no root"),
    ("user", "root", "no root"),
    ("user", "0:0", "no root"),
    ("read_only", None, "a read-only root"),
    ("cap_drop", None, "no capability"),
    ("cap_drop", ["NET_RAW"], "no capability"),
    ("cap_add", ["SYS_ADMIN"], "no capability"),
    ("security_opt", None, "no new privileges"),
    ("privileged", True, "not privileged"),
    ("network_mode", "host", "not privileged"),
    ("mem_limit", None, "limits of memory, processors and processes"),
    ("cpus", None, "limits of memory, processors and processes"),
    ("pids_limit", None, "limits of memory, processors and processes"),
    ("logging", None, "logs that end"),
    ("tmpfs", ["/scratch"], "a bound for files in memory"),
    ("volumes", [{"type": "bind", "source": "/", "target": "/host"}], "writing to volumes only"),
]


@pytest.mark.parametrize(("key", "value", "what"), REMOVED, ids=[f"{row[0]}={row[1]}" for row in REMOVED])
def test_a_removed_setting_is_seen(key: str, value: Any, what: str, compose: dict[str, Any]) -> None:
    """In any of the services: the check above is no ornament."""
    for name, whole in compose["services"].items():
        service = deepcopy(whole)
        service.pop(key, None)
        if value is not None:
            service[key] = value
        assert faults(name, service) == [what], name


@pytest.mark.parametrize("key", ["restart", "healthcheck"])
def test_a_server_that_is_not_watched_is_seen(key: str, compose: dict[str, Any]) -> None:
    """A service that does not end by itself is asked for its health and started again."""
    for name, whole in compose["services"].items():
        if name not in ENDING:
            assert len(faults(name, {word: value for word, value in whole.items() if word != key})) == 1, name


def test_the_example_agent_is_started_by_name_and_ends(compose: dict[str, Any]) -> None:
    """`docker compose up` is the stack alone: a demo that ran for ever would fill Prometheus with its sessions."""
    command = [str(program("docker-compose")), "-f", str(FILE), "config", "--services"]
    started = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(started) == set(compose["services"]) - {"agent"}
    agent = compose["services"]["agent"]
    assert (agent["profiles"], agent["restart"]) == (["demo"], "no")


def test_a_collector_says_later_before_the_kernel_ends_it(compose: dict[str, Any]) -> None:
    """What Go aims at is below the memory limiter, which is below the limit of the container."""
    service = compose["services"]["collector"]
    limiter = yaml.safe_load((ROOT / "collector-config" / "collector.yaml").read_text())["processors"]["memory_limiter"]
    aim = int(service["environment"]["GOMEMLIMIT"].removesuffix("MiB"))
    assert aim < limiter["limit_mib"] <= 0.8 * int(service["mem_limit"]) / _MIB


def test_a_volume_belongs_to_the_user_that_writes_to_it(compose: dict[str, Any]) -> None:
    """A new volume takes over the owner of the folder in the image: ours make that folder, for the user of the service."""
    ours = {name: body for name, body in compose["services"].items() if "build" in body}
    assert {"password", "collector", "webhook"} <= set(ours)
    for name, body in ours.items():
        dockerfile = body["build"]["dockerfile_inline"]
        assert re.search(rf"^USER {body['user']}$", dockerfile, re.MULTILINE), name
        for mount in body.get("volumes", ()):
            if mount["type"] == "volume" and not mount.get("read_only"):
                assert re.search(rf"chown {body['user']} .*{mount['target']}\b", dockerfile), name


# --- images -----------------------------------------------------------------------------------------------------------


def test_images_are_named_by_digest() -> None:
    """A tag may be moved. Those whose digest is not known are the ones that are said to be."""
    found = re.findall(
        r"^ +(?:FROM|image:) ([\w./-]+:[\w.-]+)(@sha256:[0-9a-f]{64})?(?= |$)", FILE.read_text(), re.MULTILINE
    )
    pulled = {(image, digest) for image, digest in found if not image.startswith("costspan/")}
    assert {image for image, digest in pulled if not digest} == BY_TAG
    digests = dict(pulled)
    assert len(digests) == len(pulled), "one image under two digests"
    page = (ROOT / "docs" / "stack.md").read_text(encoding="utf-8")
    assert all(f"`{image}`" in page for image in BY_TAG)


# --- the programs in such a container ---------------------------------------------------------------------------------

_CONTAIN: Final = """
set -e
mount --make-rprivate /
for folder in $WRITABLE; do mount --bind "$folder" "$folder"; done
findmnt --noheadings --raw --output TARGET --types ext4,xfs,btrfs,overlay,tmpfs,f2fs,zfs | while read -r point; do
  case " $WRITABLE " in *" $point "*) ;; *) mount -o remount,bind,ro "$point" || [ "$point" != / ] ;; esac
done
exec setpriv --reuid "${AS%:*}" --regid "${AS#*:}" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


class Contained(Stack):
    """The stack's programs, each with the user, the rights and the writable folders of its container."""

    def command(self, name: str) -> list[str]:
        """The service's command line in a name space of its own, whose root is read-only."""
        asked = yaml.safe_load(FILE.read_text())["services"][name]
        own = [self.places.path(name, str(mount.inside)) for mount in self.services[name].mounts if mount.volume]
        read_only = {words.split(":")[1] for words in asked["volumes"] if words.endswith(":ro")}
        writable = [str(folder) for folder in own if not any(_stands_for(self, name, folder, it) for it in read_only)]
        for folder in writable:
            _give(Path(folder), asked["user"])
        words = super().command(name)
        environment = [f"WRITABLE={' '.join(writable)}", f"AS={asked['user']}"]
        return [
            "env",
            *environment,
            "unshare",
            "--mount",
            "sh",
            "-c",
            _CONTAIN,
            "sh",
            _reachable(words[0], self.folder),
            *words[1:],
        ]


def _stands_for(stack: Stack, name: str, folder: Path, inside: str) -> bool:
    try:
        return stack.places.path(name, inside) == folder
    except KeyError:
        return False


def _give(folder: Path, user: str) -> None:
    owner, group = map(int, user.split(":"))
    for each in (folder, *folder.rglob("*")):
        os.chown(each, owner, group)


def _reachable(words: str, folder: Path) -> str:
    """A program where every user may start it: the way to this checkout may be closed to others."""
    system, copied = Path("/usr/bin/python3"), folder / "programs" / Path(words).name
    if words == sys.executable and system.exists():
        return str(system)
    if not copied.exists():
        copied.parent.mkdir(exist_ok=True)
        shutil.copy2(Path(words).resolve(), copied)
    return str(copied)


@pytest.fixture(scope="module")
def contained() -> Iterator[Contained]:
    """The stack within such containers."""
    probe = ["unshare", "--mount", "sh", "-c", "mount --make-rprivate / && mount --bind /tmp /tmp"]
    if os.geteuid() or shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("only root may make a name space with a read-only root here")
    folder = Path(tempfile.mkdtemp(prefix="costspan-contained-"))
    try:
        folder.chmod(0o755)
        stack = needing_programs(lambda: Contained(folder))
        (folder / "data").chmod(0o755)
        with stack:
            yield stack
    finally:
        shutil.rmtree(folder)


def test_the_programs_work_without_root_on_a_read_only_root(contained: Contained) -> None:
    """Money arrives, and the programs run as the user of their container, without a capability."""
    job = new_job()
    assert post(contained.url("collector", 4318), request(job, COST_USD)) == 200
    contained.until(lambda: contained.value(f'llm_cost_usd_total{{job="{job}"}}') == 1.5, "the money is to arrive")
    for name, running in contained.running.items():
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{running.process}/status").read_text().splitlines()
            if ":\t" in line
        )
        user = yaml.safe_load(FILE.read_text())["services"][name]["user"]
        assert status["Uid"].split() == [user.split(":")[0]] * 4, name
        assert (int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"]) == (0, 0, "1"), name
        mounts = Path(f"/proc/{running.process}/mounts").read_text().splitlines()
        (root,) = [line.split()[3] for line in mounts if line.split()[1] == "/"][-1:]
        assert root.split(",")[0] == "ro", name


def test_the_example_agent_ends_well_on_a_read_only_root(contained: Contained) -> None:
    """With its own variables, and nothing to write to but a folder in memory."""
    asked = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]["agent"]
    assert asked["tmpfs"] == [f"{asked['environment']['HOME']}:size=64m"]
    in_memory = contained.folder / "in-memory"  # in place of /tmp, below which this checkout may lie
    in_memory.mkdir()
    contain = (
        "mount --make-rprivate / && mount -o remount,bind,ro / && mount -t tmpfs -o size=64m none $HOME"
        ' && ! touch /outside 2>&- && exec "$@"'
    )
    environment = {**os.environ, **contained.environment("agent")}
    environment |= {"HOME": str(in_memory), "TMPDIR": str(in_memory)}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = ["unshare", "--mount", "sh", "-c", contain, "sh", *asked["command"]]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    job = environment["OTEL_SERVICE_NAME"]
    contained.until(lambda: contained.value(f'sum(llm_requests_total{{job="{job}"}})'), "its calls are to arrive")
