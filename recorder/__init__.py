"""Telemetry for downloaders: what every request, retry and file did, in one SQLite file.

    from recorder import open_run

    with open_run("2026-11-24") as run:
        with run.artifact("W1.pdf") as artifact, artifact.attempt("unpaywall"):
            ...
            artifact.saved(path)

Nothing is recorded unless ``DOCSTOKG_ENABLE_TELEMETRY=1``; the file is named by
``DOCSTOKG_TELEMETRY_DB_PATH``. Requests, limiters and breakers are recorded by
``recorder.integrations``, or by hand with the recorder's own methods. Standard library only.
"""

from recorder.events import Recorder
from recorder.null import NullRecorder
from recorder.run import Artifact, Attempt, Run, open_recorder, open_run
from recorder.schema import SCHEMA_VERSION, TABLES, SchemaError, ensure_schema
from recorder.settings import Settings, SettingsError
from recorder.urls import canonical_url, hash_url
from recorder.writer import TelemetryWriter

__all__ = [
    "SCHEMA_VERSION",
    "TABLES",
    "Artifact",
    "Attempt",
    "NullRecorder",
    "Recorder",
    "Run",
    "SchemaError",
    "Settings",
    "SettingsError",
    "TelemetryWriter",
    "canonical_url",
    "ensure_schema",
    "hash_url",
    "open_recorder",
    "open_run",
]
