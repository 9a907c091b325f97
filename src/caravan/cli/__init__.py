"""The command line. What is heavy is imported where it is used, so that `caravan --help` is quick."""

import gc
import os
import sys

from caravan.errors import CaravanError, WrongUsage

#: Of Python's garbage collector (gc.set_threshold): so high that it does not look again and again at all that a command
#: imports, of which nothing goes away. That was a quarter of the time of a short command.
_STARTING = (200_000, 20, 20)
_NEEDS_SERVER = "this command is part of the server. Install it: pip install 'caravan-journeys[server]'."


def main() -> None:
    """Run a command: exit 0, 1 (failed) or 2 (usage); errors are one sentence on stderr."""
    gc.set_threshold(*_STARTING)
    from caravan.cli.commands import app

    os.umask(0o077)  # what is written is about people: nothing for other users of the machine
    try:
        app(prog_name="caravan")
    except CaravanError as error:
        print(f"caravan: {error.message}", file=sys.stderr)
        sys.exit(2 if isinstance(error, WrongUsage) else 1)
    except OSError as error:
        print(f"caravan: {error.filename or 'the system'}: {error.strerror or error}.", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "caravan":
            raise
        print(f"caravan: {error.name} is missing: {_NEEDS_SERVER}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
