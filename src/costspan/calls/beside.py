"""Functions of a library that are no calls by themselves: something is to be done about them, and they go on as they are."""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Beside:
    """What is to be done about a function that is no call by itself. Each is guarded, and knows the instance.

    `before` gets what the function gets, `after` what it gives; `failed` gets what `before` gave, and the error.
    """

    before: Callable[[Any, Any, Any], Any] | None = None
    after: Callable[[Any, Any], Any] | None = None
    failed: Callable[[Any, Any, BaseException], Any] | None = None

    def whole(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        """In place of a function."""
        begun = self.before(instance, args, kwargs) if self.before is not None else None
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            if self.failed is not None:
                self.failed(instance, begun, error)
            raise
        if self.after is not None:
            self.after(instance, result)
        return result

    async def whole_async(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        """In place of a coroutine function."""
        begun = self.before(instance, args, kwargs) if self.before is not None else None
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            if self.failed is not None:
                self.failed(instance, begun, error)
            raise
        if self.after is not None:
            self.after(instance, result)
        return result
