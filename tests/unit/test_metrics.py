"""What a long run's metrics cost to read and to draw, and that nothing is lost by it."""

import json
import tracemalloc

import numpy as np
import pytest

from lam_train.report import training
from lam_train.train import metrics as metrics_module
from lam_train.train.metrics import MetricsFile


def step(number: int, samples: int = 2) -> dict:
    names = [f"trajectory-{number:06d}/{i}" for i in range(samples)]
    speeds = {f"tokens_per_second_{kind}": 1e4 + number % 7 for kind in ("logical", "physical", "supervised")}
    return {"kind": "train", "step": number, "loss": 1 / number, "lr": 1e-3, "samples": names} | speeds


def without_samples(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "samples"} for row in rows]


@pytest.fixture
def parsed(monkeypatch) -> list[bytes]:
    """The lines that were parsed, as they are."""
    lines: list[bytes] = []
    parse = metrics_module._parsed
    monkeypatch.setattr(metrics_module, "_parsed", lambda line: (lines.append(line), parse(line))[1])
    return lines


def written(path, numbers) -> MetricsFile:
    file = MetricsFile(path)
    for number in numbers:
        file.write(step(number))
    return file


def test_numbers_are_the_rows_without_samples_and_each_line_is_parsed_once(tmp_path, parsed):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    assert file.numbers() == file.read() == []
    for number in range(1, 6):
        file.write(step(number))
        file.write({"kind": "validation", "step": number, "loss": 0.5})
        assert file.numbers() == without_samples(file.read())
        assert file.numbers()[-2]["step"] == number
        parsed.clear()
        file.numbers()
        assert parsed == []
    file.write(step(6))
    file.numbers().clear()  # a caller's list is its own
    assert len(parsed) == 1 and len(file.numbers()) == 11
    assert file.read()[-1] == step(6)  # who asks for samples has them


def test_numbers_after_the_file_was_rewritten(tmp_path):
    file = written(tmp_path / "metrics.jsonl", range(1, 9))
    assert len(file.numbers()) == 8
    file.rewind(3)
    assert file.read() == [step(1), step(2), step(3)]
    assert file.numbers() == without_samples(file.read())
    written(file.path, range(4, 7))
    assert [row["step"] for row in file.numbers()] == [1, 2, 3, 4, 5, 6]
    MetricsFile(file.path).rewind(2)  # another process, which goes on with other numbers and past the old end
    written(file.path, range(13, 23))
    assert [row["step"] for row in file.numbers()] == [1, 2, *range(13, 23)]
    file.path.unlink()
    assert file.numbers() == []


def test_a_line_that_is_not_whole_yet_is_read_once_it_is(tmp_path):
    file = written(tmp_path / "metrics.jsonl", [1])
    line = json.dumps(step(2)) + "\n"
    for part in (line[:30], line[30:-1]):
        with file.path.open("a") as stream:
            stream.write(part)
        assert [row["step"] for row in file.numbers()] == [1]
    with file.path.open("a") as stream:
        stream.write("\n" + '{"kind": "train", "st')
    assert [row["step"] for row in file.numbers()] == [row["step"] for row in file.read()] == [1, 2]
    file.rewind(2)
    assert file.read() == [step(1), step(2)]


@pytest.mark.parametrize("use", [MetricsFile.numbers, lambda file: file.rewind(200)])
def test_the_file_is_never_in_memory_as_a_whole(tmp_path, use):
    path = tmp_path / "metrics.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps(step(number, samples=1000)) + "\n" for number in range(1, 201))
    tracemalloc.start()
    try:
        use(MetricsFile(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 4


# Plots --------------------------------------------------------------------------------------------------------------


def smoothed_one_by_one(values: list[float], share: float = 0.05) -> list[float]:
    half = max(1, int(len(values) * share / 2))
    return [sum(w) / len(w) for w in (values[max(0, i - half) : i + half + 1] for i in range(len(values)))]


@pytest.mark.parametrize("length", [1, 2, 3, 39, 81, 1500])
def test_smoothing_is_a_centred_mean_over_a_twentieth(length):
    values = np.random.default_rng(length).lognormal(sigma=3, size=length)
    values[0] = 1e20  # must not blur the rest
    smoothed = training._smooth(values, np.arange(length))
    assert smoothed == pytest.approx(smoothed_one_by_one(values.tolist()), rel=1e-12)
    assert training._smooth(values, np.array([length - 1])) == smoothed[-1:]


def test_a_long_run_is_drawn_with_a_bounded_number_of_points_and_every_spike(tmp_path, monkeypatch):
    rows = [step(number, samples=0) for number in range(1, 20_001)]
    rows[12_345]["loss"], rows[17_001]["loss"] = 9.0, -3.0
    rows += [{"kind": "validation", "step": number, "loss": 1.0} for number in range(1, 20_001, 4)]
    drawn = []
    monkeypatch.setattr(training, "_save", lambda figure, path: drawn.extend(a.get_lines() for a in figure.axes))
    training.plot_training(rows, tmp_path)
    assert max(len(line.get_xdata()) for lines in drawn for line in lines) <= training.DRAWN
    each, smooth, *_ = drawn[0]
    points = dict(zip(each.get_xdata(), each.get_ydata(), strict=True))
    assert points[12_346] == 9.0 and points[17_002] == -3.0 and points[1] == 1.0
    assert [smooth.get_xdata()[i] for i in (0, -1)] == [1, 20_000]


def test_a_short_run_is_drawn_as_it_is():
    x, y = np.arange(5.0), np.array([3, 1, np.nan, 4, 1.0])
    assert training._thin(x, y) == (x, y)
