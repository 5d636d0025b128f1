"""Where the calls of a session or an account lie: four bytes a call, in blocks, in the order of booking.

An index of session ids takes 40 bytes a call and more, and a page of its own for each call that is written. The digests of
ten million calls are 40 MB, and are searched in 0.1 s.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from costspan.facts.attribution_words import ACCOUNT, SESSION

#: The columns of records that are found so, each with a table of its own.
PLACED: Final = (SESSION, ACCOUNT)
# So that a block fills one page of the file.
_BLOCK: Final = 1_000
_WIDTH: Final = 4
_NONE: Final = 0


def digest(value: object) -> int:
    """The digest of a value, which is that of every value that differs in upper and lower case only; 0 of none."""
    if value is None:
        return _NONE
    return zlib.crc32(str(value).casefold().encode("utf-8", "surrogatepass")) or 1


def blocks(numbers: Sequence[int], values: Sequence[object]) -> Iterator[tuple[int, bytes]]:
    """The values of records with these numbers, which rise, as blocks: the number of the first, the digests."""
    known = {value: digest(value) for value in set(values)}
    found = list(map(known.__getitem__, values))
    if not any(found):
        return
    start = 0
    while start < len(numbers):
        first = numbers[start]
        end = bisect_left(numbers, first + _BLOCK, start)
        block = [_NONE] * (numbers[end - 1] - first + 1)  # a record in between may have gone
        for at in range(start, end):
            block[numbers[at] - first] = found[at]
        yield first, struct.pack(f"<{len(block)}I", *block)
        start = end


def places(found: Iterable[tuple[int, bytes]], values: Iterable[object]) -> Iterator[int]:
    """The numbers of records that may have one of the values: all that have, and hardly others."""
    wanted = [struct.pack("<I", digest(value)) for value in values]
    for first, block in found:
        for one in wanted:
            at = block.find(one)
            while at >= 0:
                place, rest = divmod(at, _WIDTH)
                if not rest:
                    yield first + place
                at = block.find(one, at + 1)
