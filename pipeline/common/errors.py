"""The one exception that means: the user can fix this."""


class UserError(ValueError):
    """Report a mistake in the user's input: what is wrong, where, and what to do about it."""
