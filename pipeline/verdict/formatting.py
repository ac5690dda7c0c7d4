"""How numbers, names and lists are written."""

from collections.abc import Callable, Sequence

from pipeline.config.recipe import HEADS, TUNED, Kind

POINTS = frozenset({"accuracy", "balanced_accuracy"})  # shares, shown as percentages
LONG = {"balanced_accuracy": "balanced accuracy", "roc_auc": "AUC", "log_loss": "log loss"}
BACKBONE_SCORES = {  # by which backbones are ranked
    "ridge_accuracy": "leave-one-out accuracy", "log_me": "LogME", "h_score_gain": "H-score above chance",
}  # fmt: skip
OUTCOMES: dict[Kind, str] = {HEADS: "head alone", TUNED: "fine-tuned"}  # of a ranked backbone

Show = Callable[[float, int], str]  # a value, and how many digits to show beyond the usual


# Sizes


def digits(value: float) -> str:
    """Return three significant digits, with thousands separators: 1,150 and 22.5."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


def quantity(value: float) -> str:
    """Return a number with an SI prefix and three significant digits: 1.23 T."""
    value = float(f"{value:.3g}")  # first, so that 999,999 is 1 M
    for power, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{value / 10**power:.3g} {prefix}"
    return f"{value:.3g} "


def flops(value: float, more: int = 0) -> str:
    """Return operations with three significant digits (and `more`): 3.98 T FLOPs."""
    prefix = quantity(value).split(" ")[1]
    size = 10.0 ** (3 * " kMGTPE".index(prefix or " "))
    return f"{value / size:.{3 + more}g} {f'{prefix} FLOPs'.strip()}"


def operations(value: float) -> str:
    """Return floating-point operations in words: 6.1 trillion operations."""
    for power, name in ((18, "quintillion"), (15, "quadrillion"), (12, "trillion"), (9, "billion"), (6, "million")):
        if float(f"{value:.3g}") >= 10**power:
            return f"{value / 10**power:.3g} {name} operations"
    return f"{value:,.0f} operations"


def file_size(count: float) -> str:
    """Return bytes as MB or GB (10^6, 10^9)."""
    return f"{digits(count / 1e9)} GB" if count >= 1e9 else f"{digits(count / 1e6)} MB"


def megabytes(value: float, more: int = 0) -> str:
    """Return a size in 10^6 bytes with three significant digits (and `more`): 13.5 MB."""
    return _amount(value, "MB", more)


def duration(seconds: float) -> str:
    """Return a time with about three significant digits: 45 s, 3.5 min, 2.1 h."""
    for size, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{digits(seconds / size)} {name}"
    return f"{digits(seconds)} s"


def minutes(value: float, more: int = 0) -> str:
    """Return minutes with three significant digits (and `more`)."""
    return _amount(value, "minutes", more)


def milliseconds(value: float, more: int = 0) -> str:
    """Return milliseconds with three significant digits (and `more`): 14.2 ms."""
    return _amount(value, "ms", more)


def _amount(value: float, name: str, more: int) -> str:
    count = 3 + more
    rounded = float(f"{value:.{count}g}")
    return f"{rounded:,.0f} {name}" if abs(rounded) >= 10 ** (count - 1) else f"{rounded:.{count}g} {name}"


def distinct(a: float, b: float, show: Show) -> tuple[str, str]:
    """Return two different values with enough digits to look different."""
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


# Scores


def percent(value: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{100 * value:.1f} %"


def share(value: float, more: int = 0) -> str:
    """Return a share as a percentage with one decimal (and `more`)."""
    return f"{100 * value:.{1 + more}f} %"


def scale(metric: str) -> float:
    """Return the factor by which a score is multiplied before it is shown."""
    return 100.0 if metric in POINTS else 1.0


def score(value: float, metric: str) -> str:
    """Return a score: 87.8 % of an accuracy, 0.937 of any other metric."""
    return percent(value) if metric in POINTS else f"{value:.3f}"


def span(ends: Sequence[float], metric: str) -> str:
    """Return an interval of a score: 85.3 to 90.1 %."""
    low, high = ends
    return f"{100 * low:.1f} to {100 * high:.1f} %" if metric in POINTS else f"{low:.3f} to {high:.3f}"


def signed(value: float, metric: str) -> str:
    """Return a difference of two scores with its sign, in points of an accuracy: +1.4."""
    text = f"{100 * value:+.1f}" if metric in POINTS else f"{value:+.3f}"
    return text.replace("-", "\N{MINUS SIGN}")


def unit(metric: str) -> str:
    """Return the unit of a difference, with a space before it, if it has one."""
    return " points" if metric in POINTS else ""


def gap(value: float, metric: str) -> str:
    """Return the size of a difference: 1.4 points, or 0.012."""
    return f"{100 * abs(value):.1f}{unit(metric)}" if metric in POINTS else f"{abs(value):.3f}"


def little(value: float, metric: str) -> str:
    """Return the size of a difference, never as nothing: less than 0.1 points."""
    least = 10.0**-3
    return f"less than {gap(least, metric)}" if abs(value) < least / 2 else gap(value, metric)


def decimals(value: float | None) -> str:
    """Return three decimals, or a dash where there is no number."""
    return "–" if value is None else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")  # noqa: RUF001


# Confidence


def level(confidence: float) -> str:
    """Return a confidence as a percentage: 95 %."""
    return f"{100 * confidence:g} %"


def interval(ci: Sequence[float], metric: str, confidence: float) -> str:
    """Return an interval of a score: 95 % CI 83.8 to 88.9 %."""
    return f"{level(confidence)} CI {span(ci, metric)}"


def gap_interval(ci: Sequence[float], metric: str, confidence: float) -> str:
    """Return an interval of a difference: 95 % CI -0.4 to 3.2."""
    low, high = (signed(end, metric).removeprefix("+") for end in ci)
    return f"{level(confidence)} CI {low} to {high}"


def rough_interval(ci: Sequence[float], confidence: float) -> str:
    """Return an interval of an estimated count: 95 % CI 4,000 to 12,000."""
    low, high = map(rough, ci)
    return f"{level(confidence)} CI {low} to {high}"


def chance(probability: float) -> str:
    """Return a probability, never as certain: P = 0.93, or P > 0.99."""
    if probability > 0.99:
        return "P > 0.99"
    return "P < 0.01" if probability < 0.01 else f"P = {probability:.2f}"


def likely(probability: float) -> str:
    """Return a probability as a percentage, never as certain: 93 %, or more than 99 %."""
    if probability > 0.99:
        return "more than 99 %"
    return "less than 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"


def p_value(value: float) -> str:
    """Return a p-value to three decimals; below that, < 0.001."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def corrected(p: float) -> str:
    """Return a corrected p-value: corrected p = 0.040, or corrected p < 0.001."""
    text = p_value(p)
    return f"corrected p {text}" if text.startswith("<") else f"corrected p = {text}"


# Words


def called(metric: str) -> str:
    """Return a metric's name in a sentence."""
    return LONG.get(metric, metric)


def axis_label(metric: str) -> str:
    """Return the label of an axis of test scores."""
    return f"test {called(metric)}{', %' if metric in POINTS else ''}"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def begun(sentence: str) -> str:
    """Return a sentence with a capital letter, unless it begins with the name of a strategy."""
    return sentence[0].upper() + sentence[1:] if sentence.startswith(("where ", "whether ")) else sentence


FILTERS = {
    "quantity": quantity, "percent": percent, "score": score, "span": span, "signed": signed, "unit": unit,
    "called": called, "p": p_value, "listed": listed, "begun": begun, "decimals": decimals, "size": file_size,
    "flops": flops, "gap": gap,
}  # fmt: skip
