"""What the doctor finds in archives: every run whole, by its checksums."""

from __future__ import annotations

import os
from collections.abc import Iterable

from exporter import archived
from exporter.archived import ArchiveDamaged
from exporter.findings import Finding, Report


def check_archives(folders: Iterable[str]) -> list[Report]:
    """Return a report for each archive that the folders of archived runs lie in."""
    found: dict[str, list[str]] = {}
    damages: dict[str, list[Finding]] = {}
    for folder in folders:
        archive, name = os.path.split(folder)
        try:
            archived.check(folder, archived.read(folder))
            found.setdefault(archive, []).append(name)
        except ArchiveDamaged as damage:
            remedy = "restore the run's folder from a copy of the archive"
            damages.setdefault(archive, []).append(
                Finding("archive", "bad", f"{name}: {damage}", remedy)
            )
    reports = []
    for archive in sorted({*found, *damages}):
        whole = len(found.get(archive, []))
        good = [Finding("archive", "good", f"{whole:,} runs, whole by their checksums")]
        reports.append(Report(archive, damages.get(archive, []) + (good if whole else [])))
    return reports
