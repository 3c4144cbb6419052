"""The error of whoever reads or writes a dataset."""

from ..errors import TsvadError


class DatasetError(TsvadError):
    """A dataset that cannot be used as it is; the message says what was looked for and what would do."""
