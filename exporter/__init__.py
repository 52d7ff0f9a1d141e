"""DocsToKG telemetry: runs the dbt models over recorded telemetry and hands out their results."""

__version__ = "0.1.0"
