"""Amounts, differences and chances as sentences have them."""

from collections.abc import Callable, Sequence

from pipeline.verdict.formatting import POINTS, p_value, percent, quantity, signed, span, unit

Show = Callable[[float, int], str]  # a value, and how many digits to show beyond the usual


def share(value: float, more: int = 0) -> str:
    """Return a share as a percentage with one decimal (and `more`)."""
    return f"{100 * value:.{1 + more}f} %" if more else percent(value)


def flops(value: float, more: int = 0) -> str:
    """Return operations with three significant digits (and `more`): 3.98 T FLOPs."""
    prefix = quantity(value).split(" ")[1]
    size = 10.0 ** (3 * " kMGTPE".index(prefix or " "))
    return f"{value / size:.{3 + more}g} {f'{prefix} FLOPs'.strip()}"


def _amount(value: float, name: str, more: int) -> str:
    digits = 3 + more
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f} {name}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:.{digits}g} {name}"


def minutes(value: float, more: int = 0) -> str:
    """Return minutes with three significant digits (and `more`)."""
    return _amount(value, "minutes", more)


def milliseconds(value: float, more: int = 0) -> str:
    """Return milliseconds with three significant digits (and `more`): 14.2 ms."""
    return _amount(value, "ms", more)


def megabytes(value: float, more: int = 0) -> str:
    """Return a size in 10^6 bytes with three significant digits (and `more`): 13.5 MB."""
    return _amount(value, "MB", more)


def apart(a: float, b: float, show: Show) -> tuple[str, str]:
    """Return two different values with as many digits as it takes to tell them apart."""
    for more in range(10):
        if (shown := (show(a, more), show(b, more)))[0] != shown[1]:
            return shown
    return show(a, 0), show(b, 0)


def rough(count: float) -> str:
    """Return an estimated count with two significant digits: 6,300."""
    return f"{float(f'{count:.2g}'):,.0f}"


def times(ratio: float) -> str:
    """Return a ratio: 0.38 times, 2.0 times, 27 times."""
    if ratio < 0.95:
        return f"{ratio:.2g} times"
    return f"{ratio:.1f} times" if ratio < 9.95 else f"{ratio:,.0f} times"


def interval(ci95: Sequence[float], metric: str) -> str:
    """Return an interval of a score: 95 %: 83.8 to 88.9 %."""
    return f"95 %: {span(ci95, metric)}"


def gap(value: float, metric: str) -> str:
    """Return the size of a difference: 1.4 points, or 0.012."""
    return f"{100 * abs(value):.1f}{unit(metric)}" if metric in POINTS else f"{abs(value):.3f}"


def gap_interval(ci95: Sequence[float], metric: str) -> str:
    """Return an interval of a difference: 95 %: -0.4 to 3.2."""
    low, high = (signed(end, metric).removeprefix("+") for end in ci95)
    return f"95 %: {low} to {high}"


def chance(probability: float) -> str:
    """Return a probability, never as certain: P = 0.93, or P > 0.99."""
    if probability > 0.99:
        return "P > 0.99"
    return "P < 0.01" if probability < 0.01 else f"P = {probability:.2f}"


def corrected(p: float) -> str:
    """Return a corrected p-value: corrected p = 0.040, or corrected p < 0.001."""
    text = p_value(p)
    return f"corrected p {text}" if text.startswith("<") else f"corrected p = {text}"
