"""The command line: it parses, calls one function of the package, and prints.

Exit codes: 0 done, 1 an error that one line on stderr explains, 2 wrong usage, 10 a report holds
what ``--fail-on`` names, 130 interrupted.

``group`` is the command and its errors, ``options`` and ``output`` are shared; each other module
is a family of commands, and importing it adds them.
"""

from activitykit.cli import archive, demo, explore, load, report, stats
from activitykit.cli.group import cli, run

__all__ = ["archive", "cli", "demo", "explore", "load", "report", "run", "stats"]
