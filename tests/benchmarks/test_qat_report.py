from __future__ import annotations

import pytest
import qat_report
from qat_report import Bar, Results


def _results(**changed: list[float]) -> Results:
    results = Results(step_time_ratio={"qat": 1.2, "tfmot": 1.25})
    normal = {"float": [0.83, 0.83], "qat": [0.83, 0.82], "qat_int4": [0.82, 0.82]}
    imbalanced = {"qat": [0.81, 0.81], "tfmot": [0.81, 0.81]}
    for net, variants in (("normal", normal), ("imbalanced", imbalanced)):
        for variant, values in variants.items():
            for value in changed.get(f"{net}_{variant}", values):
                results.add(net, variant, value)
    return results


def _missed(results: Results) -> list[str]:
    return [bar.claim for bar in qat_report.bars(results) if not bar.holds]


def test_bars_hold_at_their_limits() -> None:
    assert len(qat_report.bars(_results())) == 5
    assert _missed(_results()) == []


@pytest.mark.parametrize(
    ("changed", "claim"),
    [
        ({"normal_qat": [0.8249, 0.825]}, "0.5 points"),
        ({"normal_qat_int4": [0.8199, 0.82]}, "1 point"),
        ({"imbalanced_tfmot": [0.8101, 0.81]}, "at least as good as tfmot"),
    ],
)
def test_an_accuracy_below_its_bar_is_missed(changed: dict[str, list[float]], claim: str) -> None:
    (missed,) = _missed(_results(**changed))
    assert claim in missed


def test_a_slow_step_is_missed() -> None:
    results = _results()
    results.step_time_ratio["qat"] = 1.31
    assert len(_missed(results)) == 2
    results.step_time_ratio["qat"] = 1.26
    assert len(_missed(results)) == 1


def test_what_was_not_measured_has_no_bar() -> None:
    results = Results()
    results.add("normal", "float", 0.8)
    assert qat_report.bars(results) == []


def test_a_bar_from_above_and_one_from_below() -> None:
    assert Bar("", 1.0, 1.0, at_least=True).holds
    assert not Bar("", 0.9, 1.0, at_least=True).holds
    assert not Bar("", 1.1, 1.0, at_least=False).holds


def test_json_has_mean_spread_and_seeds() -> None:
    content = _results().to_json()
    assert content["normal"]["qat"] == {"mean": 0.825, "spread": 0.01, "seeds": [0.83, 0.82]}
    assert content["step_time_ratio"] == {"qat": 1.2, "tfmot": 1.25}
    assert set(content) == {"normal", "imbalanced", "step_time_ratio"}


def test_a_missing_variant_is_a_dash() -> None:
    rows = dict(zip(qat_report.VARIANTS, qat_report.accuracy_rows(_results())[0][1:], strict=True))
    assert rows["qat"] == "82.50 ± 0.50"
    assert rows["tfmot"] == "-"


def test_the_picture_is_a_png() -> None:
    picture = qat_report.draw(_results(), {"normal": "normal", "imbalanced": "imbalanced"})
    assert picture.startswith(b"\x89PNG")
