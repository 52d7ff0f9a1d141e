"""Telemetry for downloaders: what every request, retry and file did, in one SQLite file.

    from recorder import open_recorder

    with open_recorder(run_id="2025-10-21") as telemetry:
        telemetry.http_event(host="api.example.org", role="metadata", status=200, url=url)

Nothing is recorded unless ``DOCSTOKG_ENABLE_TELEMETRY=1``; the file is named by
``DOCSTOKG_TELEMETRY_DB_PATH``. Standard library only.
"""

from recorder.events import Recorder
from recorder.null import NullRecorder
from recorder.schema import SCHEMA_VERSION, TABLES, SchemaError, ensure_schema
from recorder.settings import Settings, SettingsError
from recorder.urls import canonical_url, hash_url
from recorder.writer import TelemetryWriter, open_recorder

__all__ = [
    "SCHEMA_VERSION",
    "TABLES",
    "NullRecorder",
    "Recorder",
    "SchemaError",
    "Settings",
    "SettingsError",
    "TelemetryWriter",
    "canonical_url",
    "ensure_schema",
    "hash_url",
    "open_recorder",
]
