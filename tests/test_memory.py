import pytest

from benchmarks.memory import FIRST, ORDER, main, measure, summary, table


@pytest.fixture(scope="module")
def result():
    return summary({count: measure(count, 8) for count in (300, 600)}, 8)


def test_each_step_is_measured_and_the_sum_but_for_the_first_epoch_is_the_cost(result):
    for count in (300, 600):
        steps = result["steps"][str(count)].values()
        assert tuple(result["steps"][str(count)]) == ORDER
        first = result["steps"][str(count)][FIRST]["cpu_us_per_image"]
        cost = sum(step["cpu_us_per_image"] for step in steps) - first
        assert cost == pytest.approx(result[f"cpu_us_per_image_{count}"], abs=0.1)
        assert result[f"peak_rss_mib_{count}"] == round(max(step["peak_rss_mib"] for step in steps))
    assert result["growth"] == pytest.approx(result["cpu_us_per_image_600"] / result["cpu_us_per_image_300"], rel=0.01)


def test_the_table_has_a_row_for_each_step_and_names_no_path(result):
    text = table(result)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 8 + 1
    assert {row.count("|") for row in rows} == {7}
    assert "/tmp" not in text


def test_the_benchmark_explains_itself(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--sizes" in capsys.readouterr().out
