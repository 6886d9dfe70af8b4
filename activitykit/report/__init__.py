"""The periodic report: one HTML file with numbers from `stats` and figures from `plots`."""

from activitykit.report.render import render_report, write_report

__all__ = ["render_report", "write_report"]
