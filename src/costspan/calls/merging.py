"""One answer out of the messages of a stream: what comes later takes the place of what came before, field by field."""

from __future__ import annotations

from costspan.facts.call import Answer


def merged(earlier: Answer, later: Answer) -> Answer:
    """The earlier answer with every field that the later message says something about put in its place.

    Usage is replaced unit by unit: Anthropic's last event repeats the totals without the cache details of the
    first, and the providers that report on every event report running totals.
    """
    usage = later.usage
    if usage is not None and earlier.usage is not None:
        usage = earlier.usage.replaced_by(usage)
    return Answer(
        usage=usage or earlier.usage,
        model=later.model or earlier.model,
        id=earlier.id or later.id,
        tier=later.tier or earlier.tier,
        geo=later.geo or earlier.geo,
        speed=later.speed or earlier.speed,
        processing=later.processing or earlier.processing,
        finish_reasons=later.finish_reasons or earlier.finish_reasons,
        reported_nano_usd=earlier.reported_nano_usd if later.reported_nano_usd is None else later.reported_nano_usd,
        parts=later.parts or earlier.parts,
        pending=later.pending,
        error=later.error or earlier.error,
    )
