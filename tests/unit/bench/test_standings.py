"""The result of a contest: ratios pair the rounds in which both ran, and each bar is met or missed by its own rule."""

from dataclasses import asdict

from bench.rig.standings import Figures, bars, cpu_ratios, loaded, ratios, rows
from bench.rig.usage import Cost


def figures(number: int, speed: float, cpu_us: float = 30.0, **more: object) -> Figures:
    return Figures(number, speed, Cost(cpu_us / 2, cpu_us / 4, cpu_us / 4), 200.0, **more)  # type: ignore[arg-type]


def test_ratios_pair_the_rounds_of_both() -> None:
    found = {"product": [figures(0, 30_000), figures(1, 60_000)], "faust-agent": [figures(0, 1_000)]}
    assert ratios(found, "product", "faust-agent") == [30]


def test_python_path_is_compared_by_the_cpu_of_all_parties() -> None:
    found = {"product": [figures(0, 1, 30)], "python": [figures(0, 1, 50)]}
    assert cpu_ratios(found, "product", "python") == [0.6]


def test_bars_are_of_those_who_ran() -> None:
    found = {
        "product": [figures(0, 40_000, 30, natively=0.98)],
        "python": [figures(0, 30_000, 40)],
        "limit": [figures(0, 90_000)],
        "product-2": [figures(0, 60_000)],
        "connect": [figures(0, 30_000)],
        "flink": [figures(0, 50_000)],
    }
    assert {bar.text: bar.met for bar in bars(found)} == {
        "total CPU, of the Python path's": False,
        "one worker, of the limit": False,
        "share of the records read natively": True,
        "peak MB of two workers": True,
        "Bridge, two workers, times Kafka Connect, 4 tasks": True,
        "Bridge, two workers, times Flink SQL, parallelism 2": False,
    }
    assert bars({"flink": found["flink"]}) == []


def test_rows_are_those_of_the_worst_run() -> None:
    exact, wrong, early = (figures(0, 1, whole=whole) for whole in (True, False, None))
    found = {"flink": [exact, wrong, early], "connect": [exact, early], "product": [exact, exact], "limit": [early]}
    assert [rows(found, name) for name in found] == ["WRONG", "not all", "exact", ""]


def test_stored_figures_are_read_as_they_were() -> None:
    found = {"product": [figures(0, 30_000, whole=True)]}
    stored = {name: [asdict(run) | {"cpu_us": run.cpu_us._asdict()} for run in runs] for name, runs in found.items()}
    assert loaded(stored) == found
