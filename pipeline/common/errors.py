"""The one exception that means: the user can fix this; and what others' errors say, in a line."""


class UserError(ValueError):
    """Report a mistake in the user's input: what is wrong, where, and what to do about it."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind where it says nothing; at most 200 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
