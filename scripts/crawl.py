"""A small real crawl of the demo's publishers: resolvers in order, PDFs on disk, all recorded.

``python -m scripts.crawl --db demo/telemetry.sqlite3 --out demo/healthy --profile healthy``
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import httpx
import pybreaker

from recorder import Artifact, Attempt, Run, open_run
from recorder.events import Role
from scripts.http import Web
from scripts.publishers import PROFILES, Publishers, chance

_JOURNALS, _PAGE = 24, 10
#: Resolver, tier, host it asks first, what it asks, host of the PDF, share of works it knows.
RESOLVERS = (
    ("unpaywall", "open_access", "api.unpaywall.example", "lookup", "repo.arxiv.example", 0.55),
    ("crossref", "publisher", "www.publisher.example", "landing", "cdn.publisher.example", 0.85),
    ("wayback", "archive", None, None, "web.archive.org", 0.8),
)
_TROUBLE = (pybreaker.CircuitBreakerError, httpx.HTTPError)


class Crawl:
    """One run: every artifact through the resolvers until one delivers."""

    def __init__(self, web: Web, run: Run, out: Path, seed: int) -> None:
        self._web, self._run, self._out, self._seed = web, run, out, seed
        self._by_hash: dict[str, Path] = {}
        self._lock = Lock()

    def artifact(self, number: int) -> bool:
        """Fetch one artifact; return whether a PDF of it is on disk."""
        work = f"W{number:05d}"
        for url in (
            f"http://api.crossref.example/journals/{number % _JOURNALS}",
            f"http://api.crossref.example/funders/{number % 7}",
            f"http://api.crossref.example/works/page-{number // _PAGE}",
        ):
            try:
                self._web.get(url, "metadata")
            except _TROUBLE:
                continue  # metadata is a help, not a need
        with self._run.artifact(f"{work}.pdf", work) as artifact:
            for name, tier, ask_host, ask, pdf_host, share in RESOLVERS:
                try:
                    with artifact.attempt(name, tier, pdf_host) as attempt:
                        content = self._resolve(
                            attempt, number, name, ask_host, ask, pdf_host, share
                        )
                except _TROUBLE:
                    continue  # the attempt has recorded what it was
                if content is not None:
                    self._keep(artifact, work, content)
                    return True
        return False

    def _resolve(
        self,
        attempt: Attempt,
        number: int,
        name: str,
        ask_host: str | None,
        ask: str | None,
        pdf_host: str,
        share: float,
    ) -> bytes | None:
        """Try one resolver; return the PDF if it has one."""
        work, status = f"W{number:05d}", None
        if ask_host is not None:
            role: Role = "landing" if ask == "landing" else "metadata"
            status = self._web.get(f"http://{ask_host}/{ask}/{work}", role).status_code
        if chance(self._seed, work, name) >= share:
            attempt.ended("no_pdf", status=status)
            return None
        # every twentieth work is a copy of the one before it, under a name of its own
        same = f"W{number - 1:05d}-copy" if number % 20 == 19 else work
        response = self._web.get(f"http://{pdf_host}/pdf/{same}.pdf", "artifact")
        if response.status_code == 200 and response.content.startswith(b"%PDF"):
            return response.content
        attempt.ended("nonretryable", "no PDF was answered", response.status_code)
        return None

    def _keep(self, artifact: Artifact, work: str, content: bytes) -> None:
        """Put a PDF on disk, as a hard link where the same bytes are there already."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._out / f"{work}.pdf"
        with self._lock:
            first = self._by_hash.setdefault(digest, path)
            path.unlink(missing_ok=True)
            if first == path:
                path.write_bytes(content)
            else:
                os.link(first, path)
        artifact.saved(
            path.relative_to(self._out),
            content,
            sha256=digest,
            content_type="application/pdf",
            dedupe_action="download" if first == path else "hardlink",
        )


def crawl(
    db: Path, out: Path, run_id: str, profile: str, artifacts: int, seed: int, recorded: bool
) -> str:
    """Run a crawl and record it; return a closing line.

    Args:
        db: telemetry file.
        out: folder for the PDFs.
        run_id: name of the run.
        profile: how the publishers behave: healthy or degraded.
        artifacts: how many to fetch.
        seed: decides what the publishers do and what resolvers know.
        recorded: whether telemetry is on.
    """
    out.mkdir(parents=True, exist_ok=True)
    cache = out / "http-cache.sqlite"
    cache.unlink(missing_ok=True)
    environ = os.environ | {
        "DOCSTOKG_ENABLE_TELEMETRY": str(int(recorded)),
        "DOCSTOKG_TELEMETRY_DB_PATH": str(db),
    }
    began = time.time()
    with Publishers(profile, seed) as publishers, open_run(run_id, environ) as run:
        web = Web(publishers.port, cache, run.recorder)
        try:
            with ThreadPoolExecutor(12) as pool:
                found = sum(pool.map(Crawl(web, run, out, seed).artifact, range(artifacts)))
        finally:
            web.close()
        run.recorder.run_summary(artifacts_total=artifacts, artifacts_success=found)
    return f"{run_id}: {found} of {artifacts} artifacts in {time.time() - began:.1f} s ({profile})"


def main() -> None:
    """Parse the command line and crawl."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, required=True, help="telemetry file to record to")
    parser.add_argument("--out", type=Path, required=True, help="folder for the PDFs")
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="healthy")
    parser.add_argument("--artifacts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-telemetry", dest="recorded", action="store_false")
    print(crawl(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
