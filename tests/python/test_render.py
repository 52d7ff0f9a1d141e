"""Numbers as people read them: rounded, but never to what they are not."""

from __future__ import annotations

import pytest

from exporter.render import amount, target


@pytest.mark.parametrize(
    ("value", "unit", "beside", "text"),
    [
        (None, "%", 85.0, "–"),
        (84.9, "%", 85.0, "84.90 %"),
        (84.996, "%", 85.0, "84.996 %"),
        (85.0, "%", 85.0, "85.00 %"),
        (84.996, "%", None, "85.00 %"),
        (3_000.2, "ms", 3_000.0, "3,000.2 ms"),
        (99.96, "ms", 100.0, "99.96 ms"),
        (12.00001, "opens/h", 12.0, "12.00001 opens/h"),
        (1_000_000_001.0, "artifacts", 1_000_000_000.0, "1,000,000,001 artifacts"),
        (1e300, "ms", None, "1e+300 ms"),
        (85.0 + 1e-14, "%", 85.0, "85.00 %"),  # not to be told apart
    ],
)
def test_a_value_is_told_from_what_it_is_beside(
    value: float | None, unit: str, beside: float | None, text: str
) -> None:
    assert amount(value, unit, beside) == text


@pytest.mark.parametrize(
    ("value", "unit", "comparator", "text"),
    [
        (None, "%", ">=", "–"),
        (85.0, "%", ">=", "≥ 85.00 %"),
        (85.0001, "%", ">=", "≥ 85.0001 %"),
        (20_000.0, "ms", "<=", "≤ 20,000 ms"),
        (3_000.5, "ms", "<=", "≤ 3,000.5 ms"),
        (0.0, "artifacts", "<=", "≤ 0 artifacts"),
        (1e9, "artifacts", "<=", "≤ 1,000,000,000 artifacts"),
    ],
)
def test_a_target_has_all_its_digits(
    value: float | None, unit: str, comparator: str, text: str
) -> None:
    assert target({"target": value, "unit": unit, "comparator": comparator}) == text
