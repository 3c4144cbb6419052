"""The command line, `tsvad`: one file a command group; heavy libraries are imported inside commands."""

from .app import main

__all__ = ["main"]
