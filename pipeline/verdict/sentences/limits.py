"""Limits in words: what is limited, how far a strategy is from it, and what would do."""

from pipeline.verdict.formatting import Show, distinct, flops, megabytes, milliseconds, minutes, share
from pipeline.verdict.limits import LimitCheck

# What is limited, and how its amounts are shown. A recall is of a class, named after a dot.
KINDS: dict[str, tuple[str, Show]] = {
    "train_flops": ("training", flops),
    "train_minutes": ("training", minutes),
    "latency_ms": ("latency", milliseconds),
    "model_mb": ("model", megabytes),
    "min_accuracy": ("accuracy", share),
    "min_recall": ("recall", share),
}


def _kind(check: LimitCheck) -> tuple[str, Show, str]:
    """Return what is limited, how its amounts are shown, and the class it is of, if any."""
    kind, _, name = check.key.partition(".")
    return *KINDS[kind], name


def subject(check: LimitCheck) -> str:
    """Return what is limited: latency, recall of defective."""
    word, _, name = _kind(check)
    return f"{word} of {name}" if name else word


def amount(check: LimitCheck, value: float) -> str:
    """Return a value of what is limited: 15 ms."""
    return _kind(check)[1](value, 0)


def unmet_sentence(check: LimitCheck) -> str:
    """Say, with numbers, why the limit is not met."""
    if check.value is None:
        return f"{subject(check)} was not measured (limit: {amount(check, check.limit)})"
    value, limit = distinct(check.value, check.limit, _kind(check)[1])
    text = f"{subject(check)} {value} is {'below' if check.at_least else 'over'} the limit of {limit}"
    if check.ci is None:
        return text
    span = " to ".join(amount(check, end) for end in check.ci)
    doubt = "but the interval reaches it" if check.lies == "across" else "and so is the interval"
    return f"{text}, {doubt} ({span})"


def doubt_clause(check: LimitCheck) -> str:
    """Say that a limit is met by the mean alone; nothing where the whole interval meets it, or there is none."""
    if check.lies != "across" or check.ci is None:
        return ""
    low, limit = amount(check, check.ci[0]), amount(check, check.limit)
    return f"; its mean {subject(check)} meets the limit of {limit}, but the interval reaches down to {low}"


def loosen_clause(check: LimitCheck) -> str:
    """Say what to do about a limit that is not met: loosen latency_ms to 5 ms."""
    if check.value is None:
        return f"its {subject(check)} has to be measured first ({check.key})"
    limit = check.loosened()
    return f"drop {check.key}" if limit is None else f"loosen {check.key} to {amount(check, limit)}"


def loosened_clause(check: LimitCheck) -> str:
    """Say what is asked after a limit was loosened: latency of 15 ms were allowed (now 10 ms)."""
    limit = check.loosened()
    if limit is None:
        return f"the {subject(check)} did not matter"
    word, show, name = _kind(check)
    new, old = distinct(limit, check.limit, show)
    what = f"{word} of {new}{f' for {name}' if name else ''}"
    return f"{what} were {'enough' if check.at_least else 'allowed'} (now {old})"
