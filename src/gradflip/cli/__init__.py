"""The command line: parse, call one library function, print. Nothing heavy is imported before a command needs it."""

from gradflip.cli._app import app, main

__all__ = ["app", "main"]
