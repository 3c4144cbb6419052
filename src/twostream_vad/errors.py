"""The root of every error that a user can cause."""


class TsvadError(ValueError):
    """Input that cannot be used as asked: one line that names the value or the file, and what would do.

    The command line prints it and ends with exit code 2. Whatever else is raised is a bug of ours.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """The text as one line, whatever names of a file it repeats: these may hold line breaks, or command a terminal."""
    return "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text)
