"""Limits in words: what is limited, how far a strategy is from it, and which limit it would meet."""

from pipeline.verdict.formatting import Show, distinct, flops, megabytes, milliseconds, minutes, share
from pipeline.verdict.limits import LimitCheck

# What is limited, and how its amounts are shown. A recall is of a class, named after a dot.
KINDS: dict[str, tuple[str, Show]] = {
    "train_flops": ("training cost", flops),
    "train_minutes": ("training time", minutes),
    "latency_ms": ("latency", milliseconds),
    "model_mb": ("model size", megabytes),
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
    """Say, with numbers, why the limit is not met; without a full stop."""
    if check.value is None:
        return f"{subject(check)} was not measured (limit: {amount(check, check.limit)})"
    value, limit = distinct(check.value, check.limit, _kind(check)[1])
    if not check.at_least:
        return f"{subject(check)} is {value}, over the limit of {limit}"
    text = f"{subject(check)} is {value}, below the limit of {limit}"
    if check.ci is None:
        return text
    span = " to ".join(amount(check, end) for end in check.ci)
    if check.lies == "across":
        return f"{text} (its interval, {span}, reaches the limit)"
    return f"{text} (so is its whole interval, {span})"


def doubt_sentence(check: LimitCheck) -> str:
    """Say that the mean meets a limit and part of the interval does not; nothing where all of it does."""
    if check.lies != "across" or check.ci is None:
        return ""
    low, limit = amount(check, check.ci[0]), amount(check, check.limit)
    return f"Its mean {subject(check)} meets the limit of {limit}, but the interval reaches down to {low}."


def loosen_clause(check: LimitCheck) -> str:
    """Say what to do about a limit that is not met: loosen latency_ms to 5 ms."""
    if check.value is None:
        return f"measure its {subject(check)} first ({check.key})"
    limit = check.loosened()
    return f"drop {check.key}" if limit is None else f"loosen {check.key} to {amount(check, limit)}"


def loosened_limit(check: LimitCheck) -> str:
    """Return a limit after it was loosened: a latency limit of 15 ms (now 10 ms)."""
    limit = check.loosened()
    if limit is None:
        return f"no limit on the {subject(check)}"
    word, show, name = _kind(check)
    new, old = distinct(limit, check.limit, show)
    article = "an" if word.startswith("a") else "a"
    return f"{article} {word} limit of {new}{f' for {name}' if name else ''} (now {old})"
