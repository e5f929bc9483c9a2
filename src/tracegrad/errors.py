"""One way to say what is wrong: expected, got, what to do."""


class UsageError(ValueError):
    """A mistake of the user; the command line prints its one sentence and ends with exit code 2."""


class DataError(UsageError):
    """A data file or folder is missing, broken or not what it should be; the message names it."""
