"""The state of circuit breakers in a shared store, and in memory while the store is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

from pybreaker import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN, CircuitBreakerStorage

_log: Final = logging.getLogger(__name__)
#: Seconds for which a store that failed is left alone.
_RETRY_S: Final = 5.0
_STATES: Final = frozenset({STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN})

Counter = Literal["failures", "successes"]
T = TypeVar("T")


class Row(NamedTuple):
    """One host's breaker; ``opened_at`` is Unix time in seconds."""

    state: str = STATE_CLOSED
    failures: int = 0
    successes: int = 0
    opened_at: float | None = None

    @classmethod
    def of(cls, state: object, failures: object, successes: object, opened_at: object) -> Row:
        """Read what a store returned; what makes no sense is as if it were missing."""
        return cls(
            str(state) if state in _STATES else STATE_CLOSED,
            int(_number(failures)),
            int(_number(successes)),
            _number(opened_at) or None,
        )


class BreakerRows(Protocol):
    """A store of one row per host. Every method may raise one of ``errors``."""

    name: str
    errors: tuple[type[Exception], ...]

    def read(self, host: str) -> Row:
        """Return a host's row; that of a host without one is closed."""

    def add(self, host: str, counter: Counter) -> None:
        """Add one to a counter; atomic."""

    def write(self, host: str, **fields: str | float) -> None:
        """Set fields of a host's row, which is made if it is missing."""

    def claim(self, host: str, old: str, new: str) -> bool:
        """Set a host's state to ``new`` if it is ``old``, and return whether it was; atomic."""

    def close(self) -> None:
        """Close all connections."""


class SharedBreakers:
    """A store that may fail: what fails is not tried again for some seconds, and logged once."""

    def __init__(self, rows: BreakerRows, retry_s: float = _RETRY_S) -> None:
        self.rows, self._retry_s = rows, retry_s
        self._away_until: float | None = None
        self._lock = threading.Lock()

    def of(self, host: str) -> SharedStorage:
        """Return the storage of a host's breaker."""
        return SharedStorage(host, self)

    def attempt(self, do: Callable[[], T]) -> T | None:
        """Do something with the store, and return the result; None when the store is away."""
        away_until = self._away_until
        if away_until is not None and time.monotonic() < away_until:
            return None
        try:
            result = do()
        except self.rows.errors as error:
            with self._lock:
                was_away = self._away_until is not None
                self._away_until = time.monotonic() + self._retry_s
            if not was_away:
                # Not the error's own text: it may quote the address, and so a password.
                _log.warning(
                    "circuit breakers are kept in memory until %s can be used again (%s)",
                    self.rows.name,
                    type(error).__name__,
                )
            return None
        if away_until is not None:
            with self._lock:
                was_away, self._away_until = self._away_until is not None, None
            if was_away:
                _log.warning("circuit breakers are kept in %s again", self.rows.name)
        return result

    def close(self) -> None:
        """Close the store."""
        self.rows.close()


class SharedStorage(CircuitBreakerStorage):
    """One host's breaker in a store.

    While the store is away it goes by what it last knew. What this process changed meanwhile is
    written when the store is back, so that an opening is not lost.

    pybreaker's own storage for Redis is not used: without the server every breaker is closed and
    each request logs several tracebacks, it cannot be made while the server is down, and it
    rounds the time of opening down to a second.
    """

    def __init__(self, host: str, shared: SharedBreakers) -> None:
        super().__init__(shared.rows.name)
        self._host, self._shared = host, shared
        self._known = Row()
        self._unsaved = False
        self._lost: str | None = None

    def claim(self, old: str, new: str) -> bool:
        """Change the state if it still is what the breaker takes it for.

        Several processes may find at once that a breaker has to change. One of them wins; for the
        others, what pybreaker does next, which is to set the state, then does nothing.

        Returns:
            Whether this process made the change.
        """
        known = self._read()
        won = self._shared.attempt(lambda: self._shared.rows.claim(self._host, old, new))
        if won is None:
            won, self._unsaved = known.state == old, True
        if won:
            self._known = known._replace(state=new)
        else:
            self._lost = new
        return won

    @property
    def state(self) -> str:
        """The state: closed, open or half-open."""
        return self._read().state

    @state.setter
    def state(self, state: str) -> None:
        lost, self._lost = self._lost, None
        if state != lost:
            self._write(self._known._replace(state=state), state=state)

    def increment_counter(self) -> None:
        """Count a failure."""
        self._add("failures")

    def reset_counter(self) -> None:
        """Forget the failures."""
        # Read first: nearly every success finds no failures, and need not write.
        if self._read().failures:
            self._write(self._known._replace(failures=0), failures=0)

    def increment_success_counter(self) -> None:
        """Count a success of a half-open breaker."""
        self._add("successes")

    def reset_success_counter(self) -> None:
        """Forget the successes."""
        if self._read().successes:
            self._write(self._known._replace(successes=0), successes=0)

    @property
    def counter(self) -> int:
        """Failures in a row."""
        return self._read().failures

    @property
    def success_counter(self) -> int:
        """Successes of a half-open breaker."""
        return self._read().successes

    @property
    def opened_at(self) -> datetime | None:
        """When it was last opened, UTC."""
        opened_at = self._read().opened_at
        try:
            return None if opened_at is None else datetime.fromtimestamp(opened_at, UTC)
        except (ValueError, OverflowError, OSError):
            return None

    @opened_at.setter
    def opened_at(self, opened_at: datetime) -> None:
        seconds = opened_at.timestamp()
        self._write(self._known._replace(opened_at=seconds), opened_at=seconds)

    def _read(self) -> Row:
        self._lost = None
        if self._unsaved:
            self._write(self._known, **_fields(self._known))
        if not self._unsaved:
            self._known = self._shared.attempt(lambda: self._shared.rows.read(self._host)) or (
                self._known
            )
        return self._known

    def _write(self, known: Row, **fields: str | float) -> None:
        self._known, self._lost = known, None
        done = self._shared.attempt(lambda: self._wrote(fields))
        self._unsaved = not done

    def _wrote(self, fields: dict[str, str | float]) -> bool:
        if self._unsaved:
            fields = _fields(self._known)
        self._shared.rows.write(self._host, **fields)
        return True

    def _add(self, counter: Counter) -> None:
        known = self._known
        if counter == "failures":
            self._known = known._replace(failures=known.failures + 1)
        else:
            self._known = known._replace(successes=known.successes + 1)
        if self._unsaved:
            self._write(self._known, **_fields(self._known))
            return

        def add() -> bool:
            self._shared.rows.add(self._host, counter)
            return True

        self._unsaved = not self._shared.attempt(add)


def _fields(row: Row) -> dict[str, str | float]:
    return {name: value for name, value in row._asdict().items() if value is not None}


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if abs(number) < 1e12 else 0.0
