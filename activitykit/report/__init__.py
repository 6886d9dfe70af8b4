"""The periodic report: what to act on, and all the numbers behind it.

`build.build_report` computes a `content.Report` from the frame; HTML (`render`), Markdown, JSON and
the mail are written from that, and compute nothing; a PDF is the page as a browser prints it.
"""

from activitykit.report.render import render_report
from activitykit.report.write import write_report

__all__ = ["render_report", "write_report"]
