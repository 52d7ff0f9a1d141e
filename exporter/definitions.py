"""How each number is defined: the descriptions of the models' own YAML, nothing written again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_DOC: Final = re.compile(r"\{\{\s*doc\(\s*['\"](\w+)['\"]\s*\)\s*\}\}")
_BLOCK: Final = re.compile(r"\{%\s*docs\s+(\w+)\s*%\}(.*?)\{%\s*enddocs\s*%\}", re.DOTALL)
#: Models whose descriptions the report shows, by the folder of their YAML.
_MODELS: Final = (
    "run_slis", "slo_verdicts", "slo_budgets", "trend_points", "regressions", "host_heat",
    "ttfp_histogram", "resolver_funnel", "breaker_intervals", "data_quality",
)  # fmt: skip


@dataclass(frozen=True)
class Definition:
    """What a number means.

    Attributes:
        name: of a model, an SLI or a sample.
        is_sli: it is an SLI or a sample.
        text: the description in the YAML.
    """

    name: str
    is_sli: bool
    text: str


def definitions(project: Path) -> list[Definition]:
    """Return the descriptions of the SLIs and samples, then of the models that a report is made of.

    Args:
        project: the folder with dbt_project.yml.
    """
    models = project / "models"
    blocks = dict(_BLOCK.findall((models / "docs.md").read_text("utf-8")))
    described: dict[str, dict[str, Any]] = {}
    for file in sorted((models / "marts").glob("*/_*.yml")):
        if not file.stem.endswith("_unit_tests"):
            described |= {model["name"]: model for model in _models(file)}
    declared = _read(project / "dbt_project.yml")["vars"]
    return [
        Definition(column["name"], True, _told(column, blocks))
        for column in declared["slis"] + declared["sli_samples"]
    ] + [
        Definition(name, False, _told(described[name], blocks))
        for name in _MODELS
        if name in described
    ]


def _models(file: Path) -> list[dict[str, Any]]:
    return list(_read(file).get("models") or [])


def _read(file: Path) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dict(yaml.load(file.read_text("utf-8"), Loader=loader) or {})


def _told(node: dict[str, Any], blocks: dict[str, str]) -> str:
    text = _DOC.sub(lambda match: blocks.get(match[1], match[1]), str(node.get("description", "")))
    return " ".join(text.split())
