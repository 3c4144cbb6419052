"""Puts the commands together; mistakes of a user give one line and exit code 2, our own a report and exit code 70."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence

from cyclopts import App

from ..errors import TsvadError
from . import (
    compare,
    doctor,
    evaluate,
    export,
    fit,
    index,
    learn,
    recalibrate,
    recipe,
    score,
    snooze,
    stages,
    watch,
    weights,
)
from .process import speak_utf8

BUG = 70  # exit code of a bug of ours, sysexits' EX_SOFTWARE

app = App(
    name="tsvad",
    help="Two-stream video anomaly detection: learns what is normal from normal video, then says frame by frame "
    "what is not. Start with: tsvad fit DATA",
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # `main` has a word to say
)

COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {  # all but those made of the table of stages, by first word
    "": (
        fit.fit,
        fit.demo,
        fit.plaza,
        evaluate.evaluate,
        compare.compare,
        compare.reproduce,
        doctor.doctor,
        export.export,
        learn.learn,
        watch.watch,
        recalibrate.recalibrate,
        snooze.snooze,
    ),
    "index": (index.show, index.add, index.merge),
    "recipe": (recipe.show, recipe.list_),
    "weights": (weights.import_, weights.inspect, weights.download),
}

stages.group(app, "score").default(score.score)
stages.register(app)
for word, commands in COMMANDS.items():
    for command in commands:
        (stages.group(app, word) if word else app).command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command.

    Bad input gives one line on standard error and exit code 2, a bug of ours its traceback and 70, Ctrl-C 130. With
    ``TSVAD_DEBUG=1`` in the environment the whole traceback is shown for bad input too.
    """
    if arguments is None:
        speak_utf8()
    # OpenMP's threads spin for a millisecond at every barrier, which beside another busy process stops both:
    # here a few microseconds. Read when torch is loaded, so before any command.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except (TsvadError, OSError) as error:
        _fail(error)
    except Exception as error:
        if type(error).__module__.partition(".")[0] == "cyclopts":
            _fail(error)
        traceback.print_exc()
        bug = "this is a bug in twostream-vad, not a mistake of yours"
        print(f"tsvad: {bug}: please report it with the lines above and the command", file=sys.stderr)
        sys.exit(BUG)


def _fail(error: Exception) -> None:
    if os.environ.get("TSVAD_DEBUG"):
        raise error
    print(f"tsvad: {str(error) or type(error).__name__}", file=sys.stderr)
    sys.exit(2)
