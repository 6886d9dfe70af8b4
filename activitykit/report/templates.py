"""The environment that every template of the report is written in."""

from importlib.resources import files
from typing import TYPE_CHECKING

from activitykit.errors import ConfigError
from activitykit.palette import COLOUR, MARK

if TYPE_CHECKING:
    from jinja2 import Environment


def text_of(name: str) -> str:
    """Read a file that lies beside this one."""
    return (files("activitykit.report") / name).read_text("utf-8")


def new_environment() -> "Environment":
    """Make an environment that escapes all text and refuses names it does not know.

    Raises
    ------
    ConfigError
        When jinja2 is missing.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise ConfigError("the report needs jinja2: pip install 'activitykit[report]'") from error
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"COLOUR": COLOUR, "MARK": MARK}
    return environment
