"""Makes the password that Prometheus and Alertmanager ask for, once, and the web configuration of both for it.

Standard library only: docker-compose.yml runs this file in a bare Python image, `make stack` in a clone of the repository runs it as it is.

    python password.py --to /run/costspan

Whoever may write to Prometheus may make up money, and its web configuration knows no difference between reading and
writing; whoever reaches Alertmanager could silence a budget. The folder is shared with those who have to know: Collector, Prometheus,
Alertmanager, Grafana. Delete it for a new password.
"""

from __future__ import annotations

import argparse
import base64
import ctypes
import json
import secrets
import subprocess
from pathlib import Path

USER = "costspan"
PASSWORD = "password"  # noqa: S105  the name of the file
#: What stands behind `Authorization: Basic`.
AUTHORIZATION = "authorization"
WEB = "web.yml"
# Nobody guesses 256 random bits, however fast he may try: the least that bcrypt knows is enough, and Prometheus asks at
# each request.
_COST = "04"
_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")


def write(folder: Path) -> None:
    """Write the three files, readable by the users of the other containers; what is there already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / PASSWORD).exists():
        return
    password = secrets.token_hex(32)
    web = json.dumps({"basic_auth_users": {USER: bcrypt(password)}})
    basic = base64.b64encode(f"{USER}:{password}".encode()).decode()
    # The password comes last: where it stands, the others are complete.
    for name, text in ((WEB, web), (AUTHORIZATION, basic), (PASSWORD, password)):
        _replace(folder / name, text)


def _replace(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o444)
    draft.replace(file)


def bcrypt(password: str) -> str:
    """The hash that Prometheus asks for: by the system's libcrypt (Linux) or by htpasswd (macOS)."""
    alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    salt = "".join(secrets.choice(alphabet) for _ in range(21)) + "u"
    for name in _LIBRARIES:
        try:
            crypt = ctypes.CDLL(name).crypt
        except OSError:
            continue
        crypt.restype, crypt.argtypes = ctypes.c_char_p, (ctypes.c_char_p, ctypes.c_char_p)
        found = crypt(password.encode(), f"$2b${_COST}${salt}".encode())
        if found and found.startswith(b"$2b$"):
            return found.decode()
    try:
        command = ["htpasswd", "-inBC", str(int(_COST)), USER]
        done = subprocess.run(command, input=password, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as fault:
        raise SystemExit(
            f"no bcrypt here: neither {' nor '.join(_LIBRARIES)} has it, nor htpasswd ({fault})"
        ) from fault
    return done.stdout.strip().partition(":")[2]


def main() -> None:
    """Write the files."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--to", type=Path, required=True, help="the folder of the files")
    write(options.parse_args().to)


if __name__ == "__main__":
    main()
