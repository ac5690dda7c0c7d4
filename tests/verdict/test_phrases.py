import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.verdict import phrases

AMOUNTS = [phrases.flops, phrases.share, phrases.minutes, phrases.milliseconds, phrases.megabytes]


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (phrases.flops(3.979e12), "3.98 T FLOPs"),
        (phrases.flops(999_999), "1 M FLOPs"),
        (phrases.flops(12), "12 FLOPs"),
        (phrases.flops(3.979e12, 2), "3.979 T FLOPs"),
        (phrases.share(0.8643), "86.4 %"),
        (phrases.share(0.8643, 1), "86.43 %"),
        (phrases.minutes(0.6667), "0.667 minutes"),
        (phrases.milliseconds(14.23), "14.2 ms"),
        (phrases.milliseconds(1234), "1,230 ms"),
        (phrases.milliseconds(1234, 1), "1,234 ms"),
        (phrases.megabytes(13.514), "13.5 MB"),
        (phrases.rough(6312), "6,300"),
        (phrases.times(0.377), "0.38 times"),
        (phrases.times(0.999), "1.0 times"),
        (phrases.times(2.02), "2.0 times"),
        (phrases.times(26.6), "27 times"),
        (phrases.interval([0.838, 0.889], "accuracy"), "95 %: 83.8 to 88.9 %"),
        (phrases.interval([0.838, 0.889], "log_loss"), "95 %: 0.838 to 0.889"),
        (phrases.gap(-0.0137, "accuracy"), "1.4 points"),
        (phrases.gap(-0.0137, "roc_auc"), "0.014"),
        (phrases.gap_interval([-0.0041, 0.032], "accuracy"), "95 %: \N{MINUS SIGN}0.4 to 3.2"),
        (phrases.chance(0.934), "P = 0.93"),
        (phrases.chance(1.0), "P > 0.99"),
        (phrases.chance(0.0), "P < 0.01"),
        (phrases.corrected(0.04), "corrected p = 0.040"),
        (phrases.corrected(0.0), "corrected p < 0.001"),
    ],
)
def test_amounts_are_written_as_people_write_them(shown, text):
    assert shown == text


@pytest.mark.parametrize("show", AMOUNTS)
@given(st.floats(1e-3, 1e6), st.floats(1e-6, 10))
def test_two_different_amounts_are_shown_differently(show, value, more):
    shown = phrases.apart(value, value * (1 + more), show)
    assert shown[0] != shown[1]


def test_amounts_that_need_no_more_digits_get_none():
    assert phrases.apart(15.0, 10.0, phrases.milliseconds) == ("15 ms", "10 ms")
    assert phrases.apart(0.8496, 0.85, phrases.share) == ("84.96 %", "85.00 %")
