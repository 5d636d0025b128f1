"""What kustomize makes of stack/kubernetes, and the Collectors of its pods as programs of the stack."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml
from stack.binaries import program
from stack.compose import ROOT, Mount, Service

#: Kinds whose spec has the template of a pod.
_WORKLOADS: Final = ("DaemonSet", "StatefulSet", "Deployment")
#: The files that the example kustomization makes secrets of.
SECRETS: Final = ("token", "tokens", "tls.crt", "tls.key", "ca.crt", "authorization")


class Cluster:
    """The objects that `kubectl apply -k` would send, made from the example with other secrets and addresses.

    Args:
        folder: where the copies lie.
        secrets: the contents of the files in secrets/.
        addresses: in place of the example's, by variable.
    """

    def __init__(self, folder: Path, secrets: Mapping[str, str], addresses: Mapping[str, str] = {}) -> None:
        self._folder = folder
        for part in ("stack/kubernetes", "collector-config"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("secrets"))
        example = folder / "stack" / "kubernetes" / "example"
        (example / "secrets").mkdir()
        for name in SECRETS:
            (example / "secrets" / name).write_text(secrets.get(name, name), encoding="utf-8")
        settings = yaml.safe_load((example / "kustomization.yaml").read_text(encoding="utf-8"))
        (literals,) = [made["literals"] for made in settings["configMapGenerator"]]
        literals[:] = [
            f"{key}={addresses.get(key, value)}" for key, _, value in (each.partition("=") for each in literals)
        ]
        (example / "kustomization.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        done = subprocess.run(
            [str(program("kustomize")), "build", str(example)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        self.documents: list[dict[str, Any]] = [*yaml.safe_load_all(done.stdout)]

    def find(self, kind: str, name: str) -> dict[str, Any]:
        """The object of a kind and name."""
        (found,) = [each for each in self.documents if (each["kind"], each["metadata"]["name"]) == (kind, name)]
        return found

    def pods(self) -> dict[str, dict[str, Any]]:
        """The spec of each workload's pod, by the workload's name."""
        workloads = (each for each in self.documents if each["kind"] in _WORKLOADS)
        return {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in workloads}

    def files(self, volume: Mapping[str, Any]) -> dict[str, str] | None:
        """What a volume holds, by file name; None where it is no configuration and no secret."""
        if "configMap" in volume:
            return self.find("ConfigMap", volume["configMap"]["name"])["data"]
        if "secret" not in volume:
            return None
        data = self.find("Secret", volume["secret"]["secretName"])["data"]
        shown = {item["key"] for item in volume["secret"].get("items", ())} or set(data)
        return {key: base64.b64decode(value).decode() for key, value in data.items() if key in shown}

    def environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        """The variables of a container."""
        given: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            given |= self.find("ConfigMap", source["configMapRef"]["name"])["data"]
        return given | {each["name"]: each["value"] for each in container.get("env", ())}

    def collector(self, name: str, workload: str, **environment: str) -> Service:
        """A pod's Collector as a program of the stack: its arguments, variables, files and probe; `name` stands for its host."""
        pod = self.pods()[workload]
        (container,) = pod["containers"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = [self._mount(name, mount, volumes.get(mount["name"], {})) for mount in container["volumeMounts"]]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        probe = container["readinessProbe"]["httpGet"]
        return Service(
            name=name, image=container["image"], command=tuple(container["args"]),
            environment={**self.environment(container), **environment}, mounts=tuple(mounts), published={},
            health=f"http://127.0.0.1:{ports[probe['port']]}{probe['path']}", needs=(),
        )  # fmt: skip

    def _mount(self, name: str, mount: Mapping[str, Any], volume: Mapping[str, Any]) -> Mount:
        inside, files = PurePosixPath(mount["mountPath"]), self.files(volume)
        if files is None:
            return Mount(inside, None, f"{name}-data")
        laid_out = self._folder / "pods" / name / inside.name
        laid_out.mkdir(parents=True)
        for file, text in files.items():
            (laid_out / file).write_text(text, encoding="utf-8")
        return Mount(inside, laid_out, "")
