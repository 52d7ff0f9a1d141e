"""SLO targets and the verdicts on a run: section 3 of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .oracle import Slis, host_slis, role_slis, run_slis
from .telemetry import Telemetry


@dataclass(frozen=True)
class Target:
    """A target; scope is ``run``, ``role`` or ``host``, and subject None is every subject."""

    slo: str
    comparator: str
    target: float
    scope: str = "run"
    subject: str | None = None


DEFAULT_TARGETS = (
    Target("yield_pct", ">=", 85),
    Target("ttfp_wall_p50_ms", "<=", 3_000),
    Target("ttfp_wall_p95_ms", "<=", 20_000),
    Target("ttfp_p50_ms", "<=", 3_000),
    Target("ttfp_p95_ms", "<=", 20_000),
    Target("cache_hit_pct", ">=", 60),
    Target("rate_delay_p95_ms", "<=", 250, "role", "metadata"),
    Target("rate_delay_p95_ms", "<=", 2_000, "role", "artifact"),
    Target("http_429_pct", "<=", 2),
    Target("http_429_pct", "<=", 2, "host"),
    Target("http_429_pct", "<=", 5, "host", "web.archive.org"),
    Target("breaker_opens_per_hour", "<=", 12, "host"),
    Target("corruption_count", "<=", 0),
)


@dataclass(frozen=True)
class Verdict:
    """The status of one SLO for one subject: ``pass``, ``fail`` or ``no_data``."""

    slo: str
    scope: str
    subject: str | None
    comparator: str
    target: float
    value: float | None
    status: str


@dataclass(frozen=True)
class Verdicts:
    """A run's verdicts; passed tells that no SLO of scope run or role fails."""

    slos: list[Verdict]
    passed: bool


def verdicts(
    telemetry: Telemetry, run_id: str, targets: Sequence[Target] = DEFAULT_TARGETS
) -> Verdicts:
    """Judge a run. The most specific target wins: one that names the subject before one that does
    not, within one SLO and scope.

    A role has a verdict if the run met it or a target names it, a host only if the run met it (in
    http_events or breaker_transitions): a target for a host the run never called says nothing.
    """
    roles = role_slis(telemetry, run_id)
    for target in targets:
        if target.scope == "role" and target.subject is not None:
            roles.setdefault(target.subject, {})
    measured: dict[str, list[tuple[str | None, Slis]]] = {
        "run": [(None, run_slis(telemetry, run_id))],
        "role": [*roles.items()],
        "host": [*host_slis(telemetry, run_id).items()],
    }
    found = []
    for slo, scope in dict.fromkeys((target.slo, target.scope) for target in targets):
        rivals = [t for t in targets if (t.slo, t.scope) == (slo, scope)]
        for subject, slis in measured[scope]:
            applying = [t for t in rivals if t.subject in (None, subject)]
            if applying:
                target = max(applying, key=lambda t: t.subject is not None)
                found.append(_judge(target, subject, slis.get(slo)))
    failed = any(v.status == "fail" and v.scope in ("run", "role") for v in found)
    return Verdicts(found, not failed)


def _judge(target: Target, subject: str | None, value: float | None) -> Verdict:
    if value is None:
        status = "no_data"
    elif target.comparator == ">=":
        status = "pass" if value >= target.target else "fail"
    elif target.comparator == "<=":
        status = "pass" if value <= target.target else "fail"
    else:
        raise ValueError(f"comparator {target.comparator!r} of {target.slo} is not >= or <=")
    return Verdict(
        target.slo, target.scope, subject, target.comparator, target.target, value, status
    )
