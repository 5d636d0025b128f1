"""Where a program of the stack comes from: built before, the PATH, Go, docker's images; and what is said if nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from stack import MissingProgramError, binaries
from stack.compose import services

WANTED = services()["alertmanager"].version

# Stands for docker: `create` names a container, `cp` copies out of it, `rm` is noted.
DOCKER = """
case $1 in
  create) echo container-1 ;;
  cp) echo "taken from $2" > "$3" ;;
  rm) echo "$2" > "$0.removed" ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing built and nothing on the PATH but what the test puts into this folder."""
    monkeypatch.setattr(binaries, "CACHE", tmp_path / "cache")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(folder: Path, name: str, script: str) -> Path:
    """A program on the PATH."""
    file = folder / name
    file.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


@pytest.mark.parametrize("version", [WANTED, "99.0.0"], ids=["as wanted", "newer"])
def test_a_program_on_the_path_is_taken(machine: Path, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing can be built, what is installed serves, with a word if it is not the version that was tested."""
    installed = put(machine, "amtool", f"echo amtool, version {version}")
    assert binaries.program("amtool") == installed
    assert (f"is version {version}; costspan is tested with {WANTED}" in capsys.readouterr().out) == (version != WANTED)


def test_an_old_program_on_the_path_is_refused(machine: Path) -> None:
    """It would not know our flags; the sentence names it, what is needed, and the ways out."""
    put(machine, "prometheus", "echo prometheus, version 2.42.0")
    with pytest.raises(MissingProgramError, match=r"bin/prometheus is version 2\.42\.0 \(3\.14\.0 or later is needed"):
        binaries.program("prometheus")


def test_a_machine_without_anything_is_told_what_to_do(machine: Path) -> None:
    """Go, docker or the PATH: all three are named."""
    with pytest.raises(MissingProgramError, match=rf"amtool {WANTED} .*none on the PATH .*Go .*docker .*make binaries"):
        binaries.program("amtool")
    assert list(machine.iterdir()) == []


def test_docker_lends_its_programs(machine: Path) -> None:
    """Without Go, the programs are copied out of the images that docker-compose.yml pins; the container goes again."""
    docker = put(machine, "docker", DOCKER)
    taken = binaries.program("amtool")
    assert taken.read_text() == "taken from container-1:/bin/amtool\n"
    assert docker.with_name("docker.removed").read_text() == "container-1\n"
    assert (binaries.CACHE / "amtool").resolve() == taken.resolve()


def test_what_is_there_is_not_made_again(machine: Path) -> None:
    """A second run asks nobody."""
    docker = put(machine, "docker", DOCKER)
    first = binaries.program("amtool")
    docker.unlink()
    assert binaries.program("amtool") == first


def test_a_go_that_cannot_build_is_told_and_the_next_way_tried(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine without network has Go and no modules."""
    put(machine, "go", "echo no such host >&2; exit 1")
    put(machine, "docker", DOCKER)
    assert binaries.program("amtool").exists()
    assert "no such host" in capsys.readouterr().out
    assert not list(binaries.CACHE.glob("*.unfinished"))


#: Stands for Go: it says where a module lies, and builds what finds something to embed.
_GO = """
case "$1 $2" in
  "mod download") echo '{{"Dir": "{sources}"}}' ;;
  "mod edit") echo "$3" > replaced ;;
  build*)
    for kind in elm mantine; do gzip -dc "alertmanager/ui/app/dist/$kind/index.html.gz" | grep -q amtool || exit 1; done
    grep -q "replace=github.com/prometheus/alertmanager=$PWD/alertmanager" replaced || exit 1
    for last; do [ "$last" = tool ] || out=$last; done
    touch "$out/alertmanager" "$out/amtool" ;;
esac
"""


def test_alertmanager_is_built_without_the_pages_that_its_module_lacks(machine: Path, tmp_path: Path) -> None:
    """They are made with Node.js; what Go keeps may not be written, and nothing but the programs stays behind."""
    sources = tmp_path / "kept" / "ui" / "app"
    sources.mkdir(parents=True)
    (sources / "web.go").write_text("package ui")
    for folder in (sources, sources.parent, sources.parent.parent):
        folder.chmod(0o555)
    put(machine, "go", _GO.format(sources=tmp_path / "kept"))
    built = binaries.program("amtool")
    assert sorted(file.name for file in built.parent.iterdir()) == ["alertmanager", "amtool"]
