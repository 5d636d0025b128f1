"""One answer out of the messages of a stream: what comes later takes the place of what came before, field by field."""

from __future__ import annotations

from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.usage import Usage, bounded_names

_OF_INPUT = (units.INPUT, *units.INPUT_PARTS)


def merged(earlier: Answer, later: Answer) -> Answer:
    """The later answer, with every field that it says nothing about taken from the earlier one.

    Usage is replaced unit by unit: a last event may repeat the totals without the cache details of the
    first, and the providers that report on every event report running totals.
    """
    if earlier.pending and later.usage is None and later.error is None and not later.finish_reasons:
        later.pending = True  # nothing has been said since that would end it
    if earlier.usage is not None:
        if later.usage is not None and earlier.usage.get(units.INPUT) and later.usage.counts.get(units.INPUT) == 0:
            _leave_out_zeros(later, later.usage)
        later.usage = earlier.usage if later.usage is None else earlier.usage.replaced_by(later.usage)
    later.model = later.model or earlier.model
    later.id = earlier.id or later.id
    later.tier = later.tier or earlier.tier
    later.geo = later.geo or earlier.geo
    later.speed = later.speed or earlier.speed
    later.processing = later.processing or earlier.processing
    later.finish_reasons = later.finish_reasons or earlier.finish_reasons
    if later.reported_nano_usd is None:
        later.reported_nano_usd = earlier.reported_nano_usd
    later.parts = later.parts or earlier.parts
    later.error = later.error or earlier.error
    later.from_cache = later.from_cache or earlier.from_cache
    if earlier.unread:
        later.unread = bounded_names((*earlier.unread, *later.unread))
    return later


def _leave_out_zeros(answer: Answer, usage: Usage) -> None:
    """A prompt that was reported does not become nothing: some servers send a form that they have not filled in."""
    counts = usage.counts
    for unit in _OF_INPUT if any(counts.values()) else tuple(counts):
        if counts.get(unit) == 0:
            del counts[unit]
    answer.unread = (*answer.unread, "usage")
