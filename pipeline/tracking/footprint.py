"""What finished units write to MLflow, before there are any: calls of a server, and rows of its database."""

CALLS = 4  # a run is created, given its data, given its values, and ended
_OF_RUN, _OF_EPOCH = 66, 6  # rows: itself, tags, parameters, costs, latest values; losses and scores


def calls(runs: int) -> int:
    """Return the calls that so many runs of trials or trainings take."""
    return CALLS * runs


def rows(runs: int, epochs: int) -> int:
    """Return the rows that so many runs write, with so many epochs in all; about: scores on test are a few more."""
    return _OF_RUN * runs + _OF_EPOCH * epochs
