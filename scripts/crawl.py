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

from recorder import Recorder, open_recorder
from recorder.events import AttemptOutcome, Role
from scripts.http import HostTrouble, Web
from scripts.publishers import PROFILES, Publishers, chance

_JOURNALS, _PAGE = 24, 10
#: Resolver, tier, host it asks first, what it asks, host of the PDF, share of works it knows.
RESOLVERS = (
    ("unpaywall", "open_access", "api.unpaywall.example", "lookup", "repo.arxiv.example", 0.55),
    ("crossref", "publisher", "www.publisher.example", "landing", "cdn.publisher.example", 0.85),
    ("wayback", "archive", None, None, "web.archive.org", 0.8),
)


class Crawl:
    """One run: every artifact through the resolvers until one delivers."""

    def __init__(self, web: Web, recorder: Recorder, out: Path, seed: int) -> None:
        self._web, self._recorder, self._out, self._seed = web, recorder, out, seed
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
            except (HostTrouble, pybreaker.CircuitBreakerError, httpx.HTTPError):
                continue  # metadata is a help, not a need
        began = time.perf_counter()
        for name, tier, ask_host, ask, pdf_host, share in RESOLVERS:
            content = self._resolve(number, work, name, tier, ask_host, ask, pdf_host, share)
            if content is not None:
                self._keep(work, name, content, began)
                return True
        self._recorder.download(
            work_id=work,
            artifact_id=f"{work}.pdf",
            metadata={"resolver_name": RESOLVERS[-1][0]},
            elapsed_ms=(time.perf_counter() - began) * 1000,
        )
        return False

    def _resolve(
        self,
        number: int,
        work: str,
        name: str,
        tier: str,
        ask_host: str | None,
        ask: str | None,
        pdf_host: str,
        share: float,
    ) -> bytes | None:
        """Try one resolver; record the attempt when it ends."""
        began, content, status = time.perf_counter(), None, None
        outcome: AttemptOutcome = "no_pdf"
        reason: str | None = None
        try:
            if ask_host is not None:
                role: Role = "landing" if ask == "landing" else "metadata"
                status = self._web.get(f"http://{ask_host}/{ask}/{work}", role).status_code
            if chance(self._seed, work, name) < share:
                # every twentieth work is a copy of the one before it, under a name of its own
                same = f"W{number - 1:05d}-copy" if number % 20 == 19 else work
                response = self._web.get(f"http://{pdf_host}/pdf/{same}.pdf", "artifact")
                status = response.status_code
                if status == 200 and response.content.startswith(b"%PDF"):
                    content, outcome = response.content, "success"
                else:
                    outcome, reason = "nonretryable", f"status {status}"
        except HostTrouble as trouble:
            outcome, reason, status = "retryable", "host in trouble", trouble.status
        except pybreaker.CircuitBreakerError:
            outcome, reason = "skipped", "breaker open"
        except httpx.TimeoutException:
            outcome, reason = "timeout", "timed out"
        except httpx.HTTPError as error:
            outcome, reason = "error", type(error).__name__
        self._recorder.fallback_attempt(
            work_id=work,
            artifact_id=f"{work}.pdf",
            tier=tier,
            source=name,
            host=pdf_host,
            outcome=outcome,
            reason=reason,
            status=status,
            elapsed_ms=(time.perf_counter() - began) * 1000,
        )
        return content

    def _keep(self, work: str, resolver: str, content: bytes, began: float) -> None:
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
        self._recorder.download(
            work_id=work,
            artifact_id=f"{work}.pdf",
            metadata={"resolver_name": resolver},
            sha256=digest,
            final_path=str(path.relative_to(self._out)),
            content_type="application/pdf",
            content_length=len(content),
            dedupe_action="download" if first == path else "hardlink",
            elapsed_ms=(time.perf_counter() - began) * 1000,
        )


def crawl(db: Path, out: Path, run_id: str, profile: str, artifacts: int, seed: int) -> str:
    """Run a crawl and record it; return a closing line.

    Args:
        db: telemetry file.
        out: folder for the PDFs.
        run_id: name of the run.
        profile: how the publishers behave: healthy or degraded.
        artifacts: how many to fetch.
        seed: decides what the publishers do and what resolvers know.
    """
    out.mkdir(parents=True, exist_ok=True)
    cache = out / "http-cache.sqlite"
    cache.unlink(missing_ok=True)
    environ = os.environ | {
        "DOCSTOKG_ENABLE_TELEMETRY": "1",
        "DOCSTOKG_TELEMETRY_DB_PATH": str(db),
    }
    recorder, began = open_recorder(run_id, environ), time.time()
    with Publishers(profile, seed) as publishers:
        web = Web(publishers.port, cache, recorder)
        try:
            with ThreadPoolExecutor(12) as pool:
                crawled = Crawl(web, recorder, out, seed)
                found = sum(pool.map(crawled.artifact, range(artifacts)))
        finally:
            web.close()
    recorder.run_summary(
        started_at=began,
        finished_at=time.time(),
        artifacts_total=artifacts,
        artifacts_success=found,
    )
    recorder.close()
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
    chosen = parser.parse_args()
    print(
        crawl(chosen.db, chosen.out, chosen.run_id, chosen.profile, chosen.artifacts, chosen.seed)
    )


if __name__ == "__main__":
    main()
