"""The tests of generated platforms: written from the Blueprint, and reported on after a run."""

from engine.forge.testing.report import Failure, SuiteReport, merged, parse_junit
from engine.forge.testing.suites import Suite, Unit, generate_tests, render, suites, units

__all__ = [
    "Failure",
    "Suite",
    "SuiteReport",
    "Unit",
    "generate_tests",
    "merged",
    "parse_junit",
    "render",
    "suites",
    "units",
]
