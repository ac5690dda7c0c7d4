import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.verdict import formatting

AMOUNTS = [formatting.flops, formatting.share, formatting.minutes, formatting.milliseconds, formatting.megabytes]


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (formatting.flops(3.979e12), "3.98 T FLOPs"),
        (formatting.flops(999_999), "1 M FLOPs"),
        (formatting.flops(12), "12 FLOPs"),
        (formatting.flops(3.979e12, 2), "3.979 T FLOPs"),
        (formatting.share(0.8643), "86.4 %"),
        (formatting.share(0.8643, 1), "86.43 %"),
        (formatting.minutes(0.6667), "0.667 minutes"),
        (formatting.milliseconds(14.23), "14.2 ms"),
        (formatting.milliseconds(1234), "1,230 ms"),
        (formatting.milliseconds(1234, 1), "1,234 ms"),
        (formatting.megabytes(13.514), "13.5 MB"),
        (formatting.rough(6312), "6,300"),
        (formatting.times(0.377), "0.38 times"),
        (formatting.times(0.999), "1.0 times"),
        (formatting.times(2.02), "2.0 times"),
        (formatting.times(26.6), "27 times"),
        (formatting.interval([0.838, 0.889], "accuracy", 0.95), "95 % CI 83.8 to 88.9 %"),
        (formatting.interval([0.838, 0.889], "log_loss", 0.8), "80 % CI 0.838 to 0.889"),
        (formatting.gap(-0.0137, "accuracy"), "1.4 points"),
        (formatting.gap(-0.0137, "roc_auc"), "0.014"),
        (formatting.gap_interval([-0.0041, 0.032], "accuracy", 0.999), "99.9 % CI \N{MINUS SIGN}0.4 to 3.2"),
        (formatting.rough_interval([4012, 12345], 0.95), "95 % CI 4,000 to 12,000"),
        (formatting.chance(0.934), "P = 0.93"),
        (formatting.chance(1.0), "P > 0.99"),
        (formatting.chance(0.0), "P < 0.01"),
        (formatting.corrected(0.04), "corrected p = 0.040"),
        (formatting.corrected(0.0), "corrected p < 0.001"),
    ],
)
def test_amounts_are_written_as_people_write_them(shown, text):
    assert shown == text


@pytest.mark.parametrize("show", AMOUNTS)
@given(st.floats(1e-3, 1e6), st.floats(1e-6, 10))
def test_two_different_amounts_are_shown_differently(show, value, more):
    shown = formatting.distinct(value, value * (1 + more), show)
    assert shown[0] != shown[1]


def test_amounts_that_need_no_more_digits_get_none():
    assert formatting.distinct(15.0, 10.0, formatting.milliseconds) == ("15 ms", "10 ms")
    assert formatting.distinct(0.8496, 0.85, formatting.share) == ("84.96 %", "85.00 %")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (formatting.score(0.8766, "accuracy"), "87.7 %"),
        (formatting.score(0.8766, "log_loss"), "0.877"),
        (formatting.span((0.8, 0.9), "balanced_accuracy"), "80.0 to 90.0 %"),
        (formatting.signed(-0.0123, "accuracy"), "\u22121.2"),
        (formatting.signed(0.0123, "roc_auc"), "+0.012"),
        (formatting.file_size(13_514_280), "13.5 MB"),
        (formatting.file_size(2.5e9), "2.5 GB"),
        (formatting.duration(45), "45 s"),
        (formatting.duration(200), "3.33 min"),
        (formatting.duration(9000), "2.5 h"),
        (formatting.file_size(1.2345e12), "1,230 GB"),
        (formatting.duration(3600 * 1234), "1,230 h"),
        (formatting.digits(1151.4), "1,150"),
        (formatting.digits(999.6), "1,000"),
        (formatting.digits(22.46), "22.5"),
        (formatting.p_value(0.0004), "< 0.001"),
        (formatting.listed(["a", "b", "c"]), "a, b and c"),
        (formatting.listed([]), ""),
    ],
)
def test_numbers_read_as_people_write_them(text, words):
    assert text == words


@given(st.floats(1, 9e17))
def test_a_quantity_has_a_prefix_and_three_digits(value):
    number, _, prefix = formatting.quantity(value).partition(" ")
    scale = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15}[prefix]
    assert float(number) * 10**scale == pytest.approx(value, rel=0.0051)
    assert len(number.replace(".", "")) <= 3


@pytest.mark.parametrize(
    ("value", "text"), [(1.234e12, "1.23 T"), (45e6, "45 M"), (12, "12 "), (999_999, "1 M"), (0, "0 ")]
)
def test_quantities_read_as_people_write_them(value, text):
    assert formatting.quantity(value) == text


def test_percentages_have_one_decimal():
    assert (formatting.percent(0.98765), formatting.percent(1)) == ("98.8 %", "100.0 %")
