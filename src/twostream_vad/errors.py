"""The root of every error that a user can cause."""


class TsvadError(ValueError):
    """Input that cannot be used as asked: one line that names the value or the file, and what would do.

    The command line prints it and ends with exit code 2. Whatever else is raised is a bug of ours.
    """
