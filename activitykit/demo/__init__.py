"""A stand-in for the real service: simulated activities, and a server that hands them out."""

from importlib import import_module
from typing import TYPE_CHECKING

from activitykit.demo.simulate import simulate, write_sample

if TYPE_CHECKING:
    from activitykit.demo.server import serve

__all__ = ["serve", "simulate", "write_sample"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name == "serve":
            return import_module("activitykit.demo.server").serve
        raise AttributeError(f"module 'activitykit.demo' has no attribute {name!r}")
