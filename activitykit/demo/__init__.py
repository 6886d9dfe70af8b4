"""A stand-in for the real service: simulated activities, and a server that hands them out."""

from activitykit.demo.behaviour import Faults, Variants
from activitykit.demo.server import serve
from activitykit.demo.simulate import simulate, write_sample

__all__ = ["Faults", "Variants", "serve", "simulate", "write_sample"]
