"""Redis or Valkey as a server of reservations: one script for each operation (`redis_store.lua`)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError  # fmt: skip
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from costspan.budgets.address import Address
from costspan.budgets.link import DeclinedError, LostError

#: The beginning of all keys.
_PREFIX: Final = "{costspan:budgets}"
_MARK: Final = "-- @"


class RedisServer:
    """The server at an address."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.shown = address.shown

    def connect(self, patience_s: float) -> RedisConnection:
        """See Server."""
        client = self._client(patience_s)
        try:
            client.ping()
        except (RedisError, OSError) as fault:
            client.close()
            raise DeclinedError(self._address.told(fault)) from fault
        return RedisConnection(client, self._address, patience_s)

    def _client(self, patience_s: float) -> Any:
        try:
            return redis.Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
                self._address.url, single_connection_client=True, decode_responses=True, protocol=2,
                socket_timeout=patience_s, socket_connect_timeout=patience_s, retry=Retry(NoBackoff(), 0),
            )  # fmt: skip
        except (RedisError, OSError) as fault:
            raise DeclinedError(self._address.told(fault)) from fault
        except (TypeError, ValueError) as fault:  # what it says has parts of the URL
            raise DeclinedError("its URL has a part that the package redis does not understand") from fault


class RedisConnection:
    """See Connection."""

    def __init__(self, client: Any, address: Address, patience_s: float) -> None:
        self._client = client
        self._address = address
        self._patience_s = patience_s

    def ask(self, operation: str, question: str) -> Sequence[str]:
        """See Connection."""
        script, digest = _scripts()[operation]
        words = (1, _PREFIX, question)
        try:
            try:
                return self._client.execute_command("EVALSHA", digest, *words)
            except NoScriptError:  # the server has begun anew
                return self._client.execute_command("EVAL", script, *words)
        except RedisTimeoutError as fault:
            raise LostError(f"no answer within {self._patience_s:g} s") from fault
        except (RedisConnectionError, OSError) as fault:
            raise LostError(self._address.told(fault)) from fault
        except RedisError as fault:
            raise DeclinedError(self._address.told(fault)) from fault

    def close(self) -> None:
        """See Connection."""
        with contextlib.suppress(RedisError, OSError):
            self._client.close()

    def doubts(self) -> tuple[str, list[str]]:
        """See Connection."""
        try:
            found: dict[str, Any] = self._client.info()
        except (RedisError, OSError) as fault:
            raise LostError(self._address.told(fault)) from fault
        told: list[str] = []
        if not found.get("aof_enabled"):
            told.append(
                "it keeps no append-only file: a restart loses what was reserved and spent since its last snapshot"
            )
        policy = str(found.get("maxmemory_policy", "noeviction"))
        if found.get("maxmemory") and policy != "noeviction":
            told.append(
                f"its maxmemory-policy is {policy}: where memory is short it forgets budgets; noeviction does not"
            )
        if found.get("role") != "master":
            told.append("it is a replica: it cannot reserve")
        name = "Valkey" if "valkey_version" in found else "Redis"
        return f"{name} {found.get('valkey_version') or found.get('redis_version')}", told


@cache
def _scripts() -> dict[str, tuple[str, str]]:
    """Script and digest of each operation."""
    common, *parts = (Path(__file__).with_name("redis_store.lua")).read_text("utf-8").split(f"\n{_MARK}")
    made: dict[str, tuple[str, str]] = {}
    for part in parts:
        operation, _, body = part.partition("\n")
        script = f"{common}\n{body}"
        made[operation] = script, sha1(script.encode(), usedforsecurity=False).hexdigest()
    return made
