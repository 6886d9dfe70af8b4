"""What the dashboard shows, as HTML text: the views of the live widget and the static summary.

Every name that comes from data goes through `escape`; direction is isolated with ``bdi``, because
names in right-to-left scripts would pull their neighbours along. Nothing is loaded from elsewhere.
"""

import math
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final

import pandas as pd
from pandas.api.typing import NaTType

from activitykit.explorer import measures, rankings
from activitykit.explorer import table as pages
from activitykit.explorer.conditions import conditions
from activitykit.explorer.measures import Headline, Timeline
from activitykit.explorer.rows import PAGE
from activitykit.explorer.selection import Option, Selection
from activitykit.explorer.svg import colour, histogram_svg, legend, mark, timeline_svg
from activitykit.explorer.texts import cut
from activitykit.palette import COLOUR, NEUTRAL
from activitykit.wording import duration_text

_DATE: Final = "%Y-%m-%d %H:%M"


@cache
def style() -> str:
    """Give the style sheet."""
    sheets = (files(__package__) / name for name in ("explorer.css", "basic.css"))
    return f"<style>{''.join(sheet.read_text('utf-8') for sheet in sheets)}</style>"


def views(selection: Selection) -> str:
    """Render the cards, the two figures and the two rankings."""
    numbers = measures.headline(selection)
    head = cards(numbers, all_outcomes=bool(selection.filter.result))
    if not selection.matching:
        return f"{head}{_panel('', f'<p>{_nothing(selection)}</p>')}"
    return "".join(
        [
            head,
            _over_time(selection),
            '<div class="ak-row">',
            _durations(selection, numbers),
            _resources(selection),
            _reasons(selection),
            "</div>",
        ]
    )


def summary(selection: Selection) -> str:
    """Render the selection for readers without a kernel, such as a saved notebook."""
    chips = "".join(f"<span>{_name(one.text)}</span>" for one in conditions(selection))
    facets = "".join(_facet(selection, name) for name in ("outcome", "operation", "tenant"))
    rows = table(selection, 0, size=10)
    return (
        f'{style()}<div class="ak mathjax_ignore tex2jax_ignore">{status(selection)}'
        f'{f"""<div class="ak-chips">{chips}</div>""" if chips else ""}{views(selection)}'
        f'<div class="ak-row" style="margin-top:8px">{facets}</div>'
        f"{_panel('Matching activities', rows, span(selection, 0, size=10))}"
        f"{_soft('A picture of the moment; run the cell to filter.')}</div>"
    )


def status(selection: Selection) -> str:
    """Say in words how many match, and over which time."""
    over = " – ".join(f"{edge:{_DATE}}" for edge in selection.over or ())
    over += " UTC" if over else ""
    return (
        f'<p role="status" aria-live="polite"><b>{selection.matching:,} of {selection.cube.n:,}'
        f' activities</b> <span class="ak-soft">{over}</span></p>'
    )


def _nothing(selection: Selection) -> str:
    if not selection.cube.n:
        return "The frame has no activities."
    return "No activity matches. Take a condition off above, or reset."


def cards(numbers: Headline, *, all_outcomes: bool) -> str:
    """Render the headline numbers; `all_outcomes` says that the rate leaves a filter out."""
    beside = "of all outcomes" if all_outcomes else "of root activities"
    shown = [
        ("Matching", f"{numbers.matching:,}", f"of {numbers.total:,} activities", NEUTRAL),
        ("Runs", f"{numbers.runs:,}", f"roots on {numbers.n_resources:,} resources", NEUTRAL),
        (
            "Failed runs",
            f"{numbers.n_failed:,}",
            f"of {numbers.n_decided:,} that ended",
            COLOUR["error"],
        ),
        ("Failure rate", *_rate(numbers, beside), COLOUR["error"]),
        ("Median duration", *_duration(numbers, numbers.p50_s), COLOUR["running"]),
        ("95th percentile", *_duration(numbers, numbers.p95_s), COLOUR["running"]),
    ]
    return '<div class="ak-cards">{}</div>'.format(
        "".join(
            f'<div class="ak-card" style="border-left-color:{edge}"><span>{title}</span>'
            f"<b>{value}</b><span>{note}</span></div>"
            for title, value, note, edge in shown
        )
    )


def _rate(numbers: Headline, beside: str) -> tuple[str, str]:
    if math.isnan(numbers.failure_rate):
        return "–", "no run that ended"
    interval = f"{100 * numbers.ci_low:.1f}–{100 * numbers.ci_high:.1f} %".replace(" ", "\u00a0")
    return (
        f"{100 * numbers.failure_rate:.1f} %",
        f'<span title="95 % confidence interval">likely {interval}</span>{beside}',
    )


def _duration(numbers: Headline, seconds: float) -> tuple[str, str]:
    running = f"{numbers.n_running:,} running counted in" if numbers.n_running else ""
    if math.isnan(seconds):
        return ("not reached", running) if numbers.n_timed else ("–", "no durations")
    return duration_text(seconds), running or f"of {numbers.n_timed:,} activities"


def _over_time(selection: Selection) -> str:
    line = measures.timeline(selection)
    if len(line.starts) < 2:
        return _panel("Activities over time", _soft("Nothing here says when it was created."))
    there = [label for label, count in line.counts.items() if count.any()]
    before, after = line.left_out
    left_out = f"{before + after:,} outside this time are not drawn" if before + after else ""
    return _panel(
        f"Activities over time, {_width(line)}",
        f'<div class="ak-plot">{timeline_svg(line)}</div>',
        f'{left_out}</span><span class="ak-legend">{legend(there)}',
    )


def _width(line: Timeline) -> str:
    word = {
        pd.Timedelta(1, "min"): "per minute",
        pd.Timedelta(1, "h"): "per hour",
        pd.Timedelta(1, "D"): "per day",
        pd.Timedelta(7, "D"): "per week",
    }
    named = word.get(line.width) or f"per {duration_text(line.width.total_seconds())}"
    return f"{named} (creation, {line.starts.tz})"


def _durations(selection: Selection, numbers: Headline) -> str:
    bins = measures.histogram(selection)
    if not bins.any():
        return _panel("Durations", _soft("Nothing that matches has a duration."))
    said = (
        f"p50 {_duration(numbers, numbers.p50_s)[0]} · p95 {_duration(numbers, numbers.p95_s)[0]}"
    )
    plot = f'<div class="ak-plot">{histogram_svg(bins, numbers)}</div>'
    return _panel("Durations, log scale", plot, said)


def _resources(selection: Selection) -> str:
    top = rankings.top_resources(selection)
    rows = [
        (
            f"{row['resource']}",
            f"{row['resource']} · {row['tenant']}",
            int(row["n_failed"]),
            f"{row['n_failed']:,} of {row['n_decided']:,}",
        )
        for row in top.to_dict("records")
    ]
    return _panel("Resources with most failures", bars(rows, COLOUR["error"]) or _no_failure())


def _reasons(selection: Selection) -> str:
    rows = [
        (
            one.signature,
            f"{one.signature}: {one.n:,} runs on {one.n_resources:,} resources",
            one.n_resources,
            f"{one.n:,} on {one.n_resources:,}",
        )
        for one in rankings.reasons(selection)
    ]
    return _panel(
        "Failure reasons, runs on resources",
        bars(rows, COLOUR["error"], long=True) or _no_failure(),
    )


def _no_failure() -> str:
    return _soft("No root activity that matches has failed.")


def _facet(selection: Selection, name: str) -> str:
    options, more = selection.options(name, limit=8)
    rows = [
        (f"{'☑ ' if one.chosen else ''}{one.label}", one.label, one.n, f"{one.n:,}")
        for one in options
    ]
    tail = _soft(f"and {more:,} more") if more else ""
    return _panel(selection.cube.facets[name].title, bars(rows, NEUTRAL) + tail)


def bars(rows: Sequence[tuple[str, str, int, str]], fill: str, *, long: bool = False) -> str:
    """Render a ranking: name, what hovering says, length of the bar, number."""
    most = max((length for *_, length, _ in rows), default=0) or 1
    lines = "".join(
        f'<span title="{escape(cut(full))}">{_name(name)}</span>'
        f'<i style="width:{100 * length / most:.1f}%;background:{fill}"></i><em>{said}</em>'
        for name, full, length, said in rows
    )
    return f'<div class="ak-bars{" ak-long" if long else ""}">{lines}</div>' if rows else ""


def table(
    selection: Selection,
    number: int,
    *,
    size: int = PAGE,
    sort: str = "createdAt",
    descending: bool = True,
) -> str:
    """Render one page of the matching activities."""
    rows = pages.page(selection, number, size=size, sort=sort, descending=descending)
    heads = [
        ("Created (UTC)", 15),
        ("Outcome", 11),
        ("Operation", 20),
        ("Tenant", 18),
        ("Resource", 20),
        ("Duration", 11),
    ]
    head = "".join(
        f'<th scope="col" style="width:{width}%"{_number(title)}>{title}</th>'
        for title, width in heads
    )
    body = "".join(
        f"<tr><td>{_moment(row['createdAt'])}</td><td>{badge(row['outcome'])}</td>"
        f"{_cell(row['operation'])}{_cell(row['tenant'])}{_cell(row['resource'])}"
        f'<td class="num">{_lasted(row["duration_s"], running=row["running"])}</td></tr>'
        for row in rows
    )
    rows_ = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="ak-table"><table>{rows_}</table></div>'


def _number(title: str) -> str:
    return ' class="num"' if title == "Duration" else ""


def _moment(moment: pd.Timestamp | NaTType) -> str:
    return "–" if pd.isna(moment) else f"{moment:%Y-%m-%d %H:%M:%S}"


def _cell(text: str) -> str:
    return f'<td title="{escape(cut(text))}">{_name(text)}</td>'


def _lasted(seconds: float, *, running: bool) -> str:
    return f"≥ {duration_text(seconds)}" if running else duration_text(seconds)


def badge(outcome: str) -> str:
    """Render an outcome as symbol and word."""
    pale = " pale" if outcome in ("Warning", "Queued") else ""
    return (
        f'<span class="ak-mark{pale}" style="background:{colour(outcome)}" aria-hidden="true">'
        f"{mark(outcome)}</span>{_name(outcome)}"
    )


def span(selection: Selection, number: int, *, size: int = PAGE) -> str:
    """Say which rows a page shows: "1-25 of 3,337", with a dash."""
    first, last = number * size + 1, min((number + 1) * size, selection.matching)
    return f"{first:,}–{last:,} of {selection.matching:,}" if selection.matching else "0 of 0"


def option_bars(name: str, options: Sequence[Option]) -> str:
    """Give the style rules for the bars behind the options of a facet."""
    most = max((one.n for one in options), default=0) or 1
    return "".join(
        f".ak-facet-{name} .widget-toggle-button:nth-child({i}){{--ak-w:{100 * one.n / most:.0f}%}}"
        for i, one in enumerate(options, 1)
    )


def code(selection: Selection) -> str:
    """Render the Python that gives the same rows."""
    size = f"{selection.matching:,} × {selection.cube.df.shape[1]:,}"
    return (
        '<details class="ak-code"><summary><b>Use this selection in Python</b>'
        f' <span class="ak-soft">.filtered → DataFrame, {size}'
        f"</span></summary><pre>{escape(selection.code)}</pre></details>"
    )


def alert(text: str, details: str = "") -> str:
    """Render what went wrong, so that it stays on the dashboard."""
    more = (
        f"<details><summary>Details</summary><pre>{escape(details)}</pre></details>"
        if details
        else ""
    )
    return f'<div class="ak-error" role="alert"><b>✕ {escape(text)}</b>{more}</div>'


def _soft(text: str) -> str:
    return f'<p class="ak-soft">{text}</p>'


def _panel(title: str, body: str, beside: str = "") -> str:
    head = (
        f'<div class="ak-head"><b>{title}</b><span class="ak-soft">{beside}</span></div>'
        if title
        else ""
    )
    return f'<div class="ak-panel">{head}{body}</div>'


def _name(text: str) -> str:
    return f"<bdi>{escape(cut(text))}</bdi>"
