"""Opens what ``DOCSTOKG_RATE_BACKEND`` and ``DOCSTOKG_BREAKER_COOLDOWN_STORE`` name.

limiter = open_limiter({"metadata": [Rate(5, 1000)], "artifact": [Rate(1, 3000)]})
storage = open_breaker_storage("api.example.org")
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from recorder.settings import (
    BREAKER_VARIABLE,
    RATE_VARIABLE,
    SettingsError,
    Store,
    breaker_store,
    rate_backend,
)

if TYPE_CHECKING:
    from pybreaker import CircuitBreakerStorage
    from pyrate_limiter import Limiter

    from recorder.integrations.breaker_storage import SharedBreakers
    from recorder.integrations.buckets import Admissions, Rates


def open_limiter(rates: Rates, environ: Mapping[str, str] = os.environ) -> Limiter:
    """Open a limiter whose buckets are where ``DOCSTOKG_RATE_BACKEND`` says.

    Args:
        rates: those of every host, or of each role at every host.
        environ: the environment variables.

    Raises:
        SettingsError: the variable names no store, or one that cannot be used now, or one that
            needs a library that is not installed.
        ValueError: the rates contradict each other.
    """
    store = rate_backend(environ)
    with _library("limiter", RATE_VARIABLE):
        from pyrate_limiter import Limiter

        from recorder.integrations.buckets import Buckets, check
    check(rates)
    # Waits are exact to the millisecond already; the default of 50 ms more would halve a rate of
    # one request in 50 ms.
    return Limiter(Buckets(rates, _admissions(store)), buffer_ms=1)


def open_breaker_storage(
    host: str, environ: Mapping[str, str] = os.environ
) -> CircuitBreakerStorage:
    """Open the storage of a host's breaker, where ``DOCSTOKG_BREAKER_COOLDOWN_STORE`` says.

    A store that does not answer, now or later, is replaced by memory until it does.

    Raises:
        SettingsError: the variable names no store, or PostgreSQL, or one that needs a library
            that is not installed.
    """
    return breaker_storage(host, _shared(breaker_store(environ)))


def breaker_storage(host: str, shared: SharedBreakers | None) -> CircuitBreakerStorage:
    """Return the storage of a host's breaker in a store, or in memory when there is none."""
    if shared is not None:
        return shared.of(host)
    from pybreaker import STATE_CLOSED, CircuitMemoryStorage

    return CircuitMemoryStorage(STATE_CLOSED)


def open_breakers(store: Store) -> SharedBreakers | None:
    """Open a store of breakers; None for memory.

    Raises:
        SettingsError: as ``open_breaker_storage`` does.
    """
    if store.kind == "postgres":
        raise SettingsError(
            f"{BREAKER_VARIABLE} names PostgreSQL, which cannot keep circuit breakers: "
            "use memory, sqlite:PATH or redis://HOST"
        )
    with _library("breaker", BREAKER_VARIABLE):
        from recorder.integrations.breaker_storage import SharedBreakers
    if store.kind == "sqlite":
        from recorder.integrations.sqlite_breaker import SqliteBreakers

        return SharedBreakers(SqliteBreakers(store.place))
    if store.kind == "redis":
        with _library("redis", BREAKER_VARIABLE), _address(BREAKER_VARIABLE):
            from recorder.integrations.redis_breaker import RedisBreakers

            return SharedBreakers(RedisBreakers(store.place))
    return None


#: One connection for the breakers of all hosts.
_shared = cache(open_breakers)


def _admissions(store: Store) -> Admissions | None:
    if store.kind == "sqlite":
        from recorder.integrations.sqlite_admissions import SqliteAdmissions

        try:
            return SqliteAdmissions(store.place)
        except sqlite3.Error as error:
            # Not its name: what is no path at all, such as a URL, may hold a password.
            raise SettingsError(
                f"{RATE_VARIABLE} names a SQLite file that cannot be used ({error}): "
                "it must be in a folder that is there and can be written"
            ) from None
    if store.kind == "redis":
        with _library("redis", RATE_VARIABLE):
            import redis

            from recorder.integrations.redis_admissions import RedisAdmissions
        with _address(RATE_VARIABLE):
            try:
                return RedisAdmissions(store.place)
            except redis.RedisError as error:
                raise _down("Redis", error) from None
    if store.kind == "postgres":
        with _library("postgres", RATE_VARIABLE):
            import psycopg

            from recorder.integrations.postgres_admissions import PostgresAdmissions
        with _address(RATE_VARIABLE):
            try:
                return PostgresAdmissions(store.place)
            except psycopg.Error as error:
                raise _down("PostgreSQL", error) from None
    return None


def _down(what: str, error: Exception) -> SettingsError:
    # Not the library's message nor the address: either may hold the password.
    return SettingsError(
        f"{RATE_VARIABLE} names a {what} server that cannot be used ({type(error).__name__}): "
        "start it, or name another store"
    )


@contextmanager
def _library(extra: str, variable: str) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise SettingsError(
            f"{variable} needs a library that is not installed: "
            f"pip install 'docstokg-telemetry[{extra}]'"
        ) from None


@contextmanager
def _address(variable: str) -> Iterator[None]:
    try:
        yield
    except SettingsError:
        raise
    except ValueError:
        # The library's message is left out: it quotes the part it could not read, which is the
        # password when that holds a character it should not.
        raise SettingsError(
            f"{variable} has an address that cannot be read: "
            "encode special characters of user and password, as @ to %40"
        ) from None
