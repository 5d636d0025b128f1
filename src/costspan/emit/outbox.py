"""The outbox of this process: every call is kept until counters and usage event are known to be delivered.

Calls are written by the thread that passes them on, before anybody else hears of them; what was delivered is noted by the
threads that deliver. docs/decisions/0083-the-outbox.md
"""

from __future__ import annotations

import errno
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, time, time_ns
from typing import TYPE_CHECKING, Any, Final

from costspan import guard
from costspan.emit.outbox_head import head
from costspan.facts.call import Call
from costspan.ledger import outbox, outbox_lines
from costspan.ledger.journal import Journal
from costspan.metrics import restored
from costspan.metrics.sessions import Sessions
from costspan.metrics.totals import Totals
from costspan.settings import Settings

if TYPE_CHECKING:
    from costspan.emit.redelivery import MetricsWay
    from costspan.sdk.readers import Readers
    from costspan.sdk.way_out import SentEvents

#: So many calls wait in memory for a place to be written to, or for the SDK to be set up.
_MOST_HELD: Final = 10_000
#: So many events that were not delivered are kept; the oldest go first.
_MOST_EVENTS: Final = 20_000
#: A file that has grown so large, and to four times what it began with, is begun anew from the sums.
_LARGE: Final = 4 * 2**20
_TIMES: Final = 4
#: What was written is forced to the disk so often: a power cut takes no more than that.
_SYNC_S: Final = 5.0
#: How often the room that all outboxes take is looked at, in bytes that were written.
_LOOK: Final = 2**20
#: How often this process looks for what others left behind.
_OTHERS_S: Final = 60.0
#: And how long it delivers for them at a time.
_PATIENCE_S: Final = 5.0
_PATIENCE_AT_END_S: Final = 1.0


@guard.guarded("outbox.line")
def _line(journal: Journal, call: Call) -> bytes:
    return outbox_lines.line(journal.packed(call))


class Outbox:
    """Of one process. No method raises for a fault of the file: it is counted and told, and the program goes on."""

    def __init__(
        self, directory: Path, settings: Settings, totals: Totals, sessions: Sessions | None,
        *, providers: Callable[[], tuple[Any, Any]],
    ) -> None:  # fmt: skip
        self._directory = directory
        self._settings = settings
        self._totals = totals
        self._sessions = sessions
        #: The meter provider and the logger provider.
        self._providers = providers
        self._file = outbox.OwnFile(directory)
        self._journal = Journal()
        #: Set before the first call: the readers know this in turn.
        self.readers: Readers | None = None
        #: Calls that could not be kept, for the metrics of our own.
        self.lost = 0
        self._begin_anew()

    @property
    def waiting(self) -> int:
        """How many ended processes have waited long to be delivered; 0 before this one has anything itself."""
        return outbox.number_of_waiting(self._directory, time()) if self._file.is_open else 0

    def _begin_anew(self) -> None:
        self._lock = threading.RLock()
        self._held: list[Call] = []
        self._events: OrderedDict[str, bytes] = OrderedDict()
        self._sent: SentEvents | None = None
        self._last = self._delivered = 0
        self._large = _LARGE
        self._checked = 0
        self._synced_s = float("-inf")
        self._looked_s = [float("-inf"), float("-inf")]  # by events, by metrics
        self._is_off = False
        self._has_tried = False
        self.is_closing = False

    # --- what the process does -------------------------------------------------------------------------------------

    def hold(self, call: Call) -> None:
        """Keep a call that finishes, in the caller's thread, until `keep` has written it."""
        if self._has_tried or self._has_journal():
            self._journal.hold(call)

    def _has_journal(self) -> bool:
        """Begin the file with the first call; where the SDK is not set up by then, `keep` begins it later."""
        with self._lock:
            try:
                if not self._is_off and not self._file.is_open:
                    self._begin(1)
            except OSError as fault:
                self._tell(fault)
            self._has_tried = True
        return self._journal.is_open

    def keep(self, calls: Sequence[Call]) -> None:
        """Write the calls, and those that waited before them."""
        with self._lock:
            if self._is_off:
                return
            self._held += calls
            try:
                self._write()
            except OSError as fault:
                self._tell(fault)
            if len(self._held) > _MOST_HELD:
                self._lose(len(self._held) - _MOST_HELD)

    def _write(self) -> None:
        if not self._file.is_open and not self._begin(len(self._held)):
            return
        if self._file.size > self._checked + _LOOK:
            self._check_room()
        lines = list[bytes]()
        for call in self._held:
            line = _line(self._journal, call)
            if line is None:
                self.lost += 1
                continue
            lines.append(line)
            self._last = max(self._last, call.booked)
            if self._sent is not None:
                self._events[call.id] = line
        self._file.append(b"".join(lines))
        self._journal.release(self._held)
        self._held.clear()
        while len(self._events) > _MOST_EVENTS:
            self._events.popitem(last=False)
            guard.count("outbox.events")
        if self._file.size > self._large:
            self._renew()
        self._sync()

    def _begin(self, calls: int) -> bool:
        """Begin the file, in which so many calls will stand; False where it is not known yet where telemetry goes."""
        way = None if self.readers is None else self.readers.repeatable()
        if way is None:
            self._is_off = self.readers is not None and self.readers.leaves_otherwise()
            # What is spent before the SDK is set up is in the sums that the file begins with; nobody was to send its events.
            self._held.clear()
            return False
        self._check_room()
        is_behind = self._totals.booked > calls
        self._file.begin(self._head(way), self._sums() if is_behind else b"")
        if self._file.path is not None:
            self._journal.begin(outbox.journal_of(self._file.path), self._settings.time_zone)
        return True

    def _head(self, way: Any) -> dict[str, Any]:
        meters, loggers = self._providers()
        said, logs = head(way, meters, loggers, with_events=self._settings.events)
        if logs is not None and self._sent is None:
            self._sent = _listened(logs, self)
        return said | {"settings": restored.settings(self._totals, self._sessions, self._settings.time_zone)}

    def _sums(self) -> bytes:
        sums = restored.sums(self._totals, self._sessions, time_ns())
        self._last = max(self._last, sums["booked"])
        return outbox_lines.mark(outbox_lines.SUMS, sums)

    def _renew(self) -> None:
        """Begin the file anew, with the sums in the place of the calls whose events were delivered."""
        way = None if self.readers is None else self.readers.repeatable()
        if way is None:
            return
        lines = self._sums() + b"".join(self._events.values()) + outbox_lines.mark(outbox_lines.TOTALS, self._delivered)
        self._file.begin(self._head(way), lines)
        self._large = max(_LARGE, _TIMES * self._file.size)
        self._checked = 0

    def _check_room(self) -> None:
        self._checked = self._file.size
        if outbox.bytes_in(self._directory) > outbox.MOST_BYTES:
            raise OSError(errno.EDQUOT, f"outboxes hold {outbox.MOST_BYTES >> 20} MiB already", str(self._directory))

    def _sync(self) -> None:
        if monotonic() - self._synced_s >= _SYNC_S:
            self._synced_s = monotonic()
            self._file.sync()

    def _lose(self, number: int) -> None:
        self.lost += number
        del self._held[:number]
        guard.count("outbox.lost")

    def _tell(self, fault: OSError) -> None:
        guard.count("outbox.file")
        sentence = "costspan: the outbox %s cannot be written (%s); what is not delivered when the process ends is lost, and your program goes on"
        guard.tell_once(f"outbox:{fault.errno}", sentence, self._directory, fault)

    # --- what was delivered ------------------------------------------------------------------------------------------

    def totals_delivered(self, booked: int) -> None:
        """The counters of so many calls have arrived."""
        with self._lock:
            if booked > self._delivered:
                self._delivered = booked
                self._note(outbox_lines.TOTALS, booked)
            self._let_go()

    def events_sent(self, ids: Sequence[str], is_delivered: bool) -> None:  # noqa: FBT001
        """These usage events have been sent; whether they arrived."""
        with self._lock:
            if is_delivered:
                known = [each for each in ids if self._events.pop(each, None) is not None]
                if known:
                    self._note(outbox_lines.EVENTS, known)
            self._let_go()
        if is_delivered:  # outside the lock: it takes as long as it takes
            self._deliver(None, self._sent)

    def _note(self, what: str, value: object) -> None:
        if self._file.is_open:
            try:
                self._file.append(outbox_lines.mark(what, value))
            except OSError as fault:
                self._tell(fault)

    def _let_go(self) -> None:
        """At the end, once everything has arrived, nothing is left behind."""
        if self.is_closing and self._file.is_open and self._is_delivered():
            self._file.remove()

    def _is_delivered(self) -> bool:
        return self._delivered >= self._last and not self._events and not self._held

    def deliver_others(self, send: Callable[[Any], bool]) -> None:
        """Deliver what dead processes left behind, by the way of the metrics, which has just proved to be open."""
        way = None if self.readers is None else self.readers.repeatable()
        if way is not None:
            from costspan.emit.redelivery import MetricsWay
            from costspan.sdk import way_out

            sent = self._sent if self._sent is not None and self._sent.is_open else None
            self._deliver(MetricsWay(way_out.endpoint(way.exporter), send), sent)

    @guard.guarded("outbox.others")
    def _deliver(self, metrics: MetricsWay | None, events: SentEvents | None) -> None:
        which = 0 if metrics is None else 1
        if monotonic() - self._looked_s[which] < _OTHERS_S and not self.is_closing:
            return
        self._looked_s[which] = monotonic()
        from costspan.emit.redelivery import Ways, deliver

        patience_s = _PATIENCE_AT_END_S if self.is_closing else _PATIENCE_S
        deliver(self._directory, Ways(metrics, events), but=self._file.path, patience_s=patience_s)

    # --- ends and forks ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """The process ends: what is delivered from here on lets the file go."""
        with self._lock:
            self.is_closing = True
            if self._held:
                self.keep(())
            self._journal.end()
            self._let_go()

    def before_fork(self, give_up_s: float) -> bool:
        """Write nothing."""
        return self._lock.acquire(timeout=max(0.0, give_up_s - monotonic()))

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def forget(self) -> None:
        """In a forked child: the file is the parent's, and so is what waits."""
        sent = self._sent
        self._file.close()
        self._journal.forget()
        self.lost = 0
        self._begin_anew()
        self._sent = sent  # the exporter is the child's now, and tells us already


def _listened(exporter: Any, kept: Outbox) -> SentEvents:
    from costspan.sdk.way_out import SentEvents

    return SentEvents(exporter, kept.events_sent, lambda: kept.is_closing)
