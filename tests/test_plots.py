import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from activitykit import plots
from activitykit._axes import INK
from activitykit.errors import SchemaError
from activitykit.palette import COLOUR, SERIES
from activitykit.wording import counted, duration_text, short

DAYS = pd.date_range("2026-10-22", periods=5, tz="Europe/Berlin")

DURATIONS = pd.DataFrame(
    {
        "operation": ["Backup", "Restore", "Scan"],
        "n": [1_234, 40, 1],
        "n_running": [34, 10, 0],
        "p50_s": [1_500.0, 90.0, 7.0],
        "p90_s": [5_000.0, 300.0, 7.0],
        "p95_s": [9_000.0, np.nan, 7.0],
    }
)
RATES = pd.DataFrame(
    {
        "tenant.name": ["Good", "Bad", "Idle"],
        "n": [50, 20, 3],
        "n_success": [50, 15, 0],
        "n_failed": [0, 5, 0],
        "failure_rate": [0.0, 0.25, np.nan],
        "ci_low": [0.0, 0.11, np.nan],
        "ci_high": [0.07, 0.47, np.nan],
    }
)
BUCKETS = pd.DataFrame(
    {
        "bucket": DAYS,
        "n_success": [9, 8, 0, 7, 9],
        "n_failed": [1, 2, 0, 3, 1],
        "n_cancelled": [0, 1, 0, 0, 0],
        "n_unknown": 0,
        "failure_rate": [0.1, 0.2, np.nan, 0.3, 0.1],
        "ci_low": [0.02, 0.05, np.nan, 0.1, 0.02],
        "ci_high": [0.4, 0.5, np.nan, 0.6, 0.4],
    }
)
REASONS = pd.DataFrame({"signature": ["disk full", "no $net$"], "n": [9, 2], "n_resources": [4, 1]})
LOAD = pd.DataFrame(
    {"bucket": DAYS, "mean": [1.0, 2.5, 3, 2, 1], "max": [2, 4, 5, 3, 2], "n_open": 1}
)
OVERDUE = pd.DataFrame(
    {
        "id": [1, 2],
        "resource.name": ["srv-1", "srv-2"],
        "elapsed_s": [90_000.0, 60.0],
        "remaining_p50_s": [7_200.0, np.nan],
        "overdue": [True, False],
    }
)
AGES = pd.DataFrame({"resource.id": list("abcd"), "age_s": [60.0, 7_200, 90_000, np.nan]}).assign(
    never=[False, False, False, True]
)
DAILY = pd.DataFrame(
    {
        "resource.name": ["good", "good", "bad", "bad"],
        "bucket": [DAYS[0], DAYS[1], DAYS[0], DAYS[2]],
        "n_success": [1, 1, 0, 1],
        "n_failed": [0, 0, 1, 2],
        "n_cancelled": 0,
        "n_unknown": 0,
    }
)
CURVES = pd.DataFrame(
    {
        "operation": ["Backup"] * 4 + ["Restore"] * 2,
        "duration_s": [300.0, 900, 4_000, 20_000, 60, 7_200],
        "survival": [0.9, 0.5, 0.2, 0.2, 0.6, 0.0],
        "ci_low": [0.7, 0.3, 0.08, 0.08, 0.3, np.nan],
        "ci_high": [0.97, 0.7, 0.4, 0.4, 0.8, np.nan],
        "n_finished": [3, 15, 24, 24, 4, 10],
        "n_running": [0, 0, 1, 6, 0, 0],
    }
)
WEEK = pd.DataFrame(
    [
        (day, hour, 5 * day + hour % 7 + 1, 60.0 * (hour + day), day / 30)
        for day in range(6)
        for hour in (*range(3), 5, *range(18, 24))
    ],
    columns=["weekday", "hour", "n", "queue_p95_s", "ci_low"],
)
WEEK.attrs["activitykit"] = {"tz": "Europe/Berlin"}
NIGHT = pd.DataFrame(
    {
        "resource.name": ["srv-1", "srv-1", "srv-2", "srv-3", "srv-3", "vm $x$", "srv-4"],
        "tenant.name": "Northwind",
        "startedAt": pd.Timestamp("2026-10-24T21:00Z")
        + pd.to_timedelta([0, 20, 10, 30, 150, 200, 100], unit="min"),
        "duration_s": [3_600.0, 4_800, 9_000, 1_200, 10, 15_000, 1_800],
        "running": [False, False, False, False, False, True, False],
        "legacy": False,
        "result.code": ["ok", "warning", "error", "cancelled", "ok", None, "meh"],
    }
)
FRAMES = {
    "duration_stats": DURATIONS,
    "survival": CURVES,
    "weekly_load": WEEK,
    "gantt": NIGHT,
    "failure_stats": RATES,
    "trend": BUCKETS,
    "failure_trend": BUCKETS,
    "failure_reasons": REASONS,
    "concurrency": LOAD,
    "overdue": OVERDUE,
    "last_good": AGES,
    "calendar": DAILY,
}
ALL = pytest.mark.parametrize("name", FRAMES)


@pytest.fixture
def ax():
    """Axes of a figure that pyplot does not know."""
    return Figure(layout="constrained").add_subplot()


def texts(ax):
    """Give what is written into the axes."""
    return [text.get_text() for text in ax.texts]


def tick_texts(axis):
    """Give what stands at the ticks."""
    return [label.get_text() for label in axis.get_ticklabels()]


@ALL
def test_draws_on_the_given_axes(name, ax):
    """Every figure returns the axes that it was given, and leaves pyplot alone."""
    import matplotlib.pyplot as plt

    assert getattr(plots, name)(FRAMES[name], ax=ax) is ax
    assert plt.get_fignums() == []


@ALL
def test_makes_a_transparent_figure_of_its_own(name):
    """Without axes a pyplot figure appears, so that a notebook shows it."""
    import matplotlib.pyplot as plt

    with mpl.rc_context({"backend": "agg"}):
        made = getattr(plots, name)(FRAMES[name])
        assert plt.get_fignums() == [made.figure.number]
        plt.close(made.figure)
    assert isinstance(made, Axes)
    assert made.figure.patch.get_alpha() == made.patch.get_alpha() == 0


@ALL
def test_does_not_change_its_frame(name, ax):
    """Drawing leaves the statistic's frame as it was."""
    before = FRAMES[name].copy(deep=True)
    getattr(plots, name)(FRAMES[name], ax=ax)
    pd.testing.assert_frame_equal(FRAMES[name], before)


@ALL
def test_says_in_a_sentence_that_there_is_nothing(name, ax):
    """An empty frame draws a sentence instead of failing."""
    getattr(plots, name)(FRAMES[name].iloc[:0], ax=ax)
    assert len(texts(ax)) == 1
    assert texts(ax)[0].endswith(".")
    ax.figure.canvas.draw()


@ALL
def test_names_what_the_axis_shows(name, ax):
    """Every figure says on an axis what it counts, and names the time zone of time axes."""
    getattr(plots, name)(FRAMES[name], ax=ax)
    assert ax.get_xlabel()
    if "bucket" in FRAMES[name]:
        assert "(Europe/Berlin)" in ax.get_xlabel()
        assert ax.get_ylabel() or ax.get_yticklabels()


@ALL
def test_uses_the_palette_only(name, ax):
    """Every colour is the palette's, the ink, white (cut out of a hatch) or none."""
    getattr(plots, name)(FRAMES[name], ax=ax)
    used = set()
    for line in ax.lines:
        used |= {line.get_color(), line.get_markeredgecolor(), line.get_markerfacecolor()}
    used |= {patch.get_facecolor() for patch in ax.patches}
    used |= {tuple(colour) for lines in ax.collections for colour in lines.get_edgecolor()}
    used |= {text.get_color() for text in ax.texts}
    allowed = {*COLOUR.values(), *SERIES, INK, "#ffffff"}
    assert {to_hex(c) for c in used if str(c) != "none" and to_hex(c, True)[-2:] != "00"} <= allowed


@ALL
def test_needs_the_columns_of_its_statistic(name, ax):
    """A frame from elsewhere is refused with the names of the missing columns."""
    with pytest.raises(SchemaError, match="figure"):
        getattr(plots, name)(pd.DataFrame({"x": [1]}), ax=ax)


# without letters, which another version of FreeType moves by more than a lost line would change
@pytest.mark.mpl_image_compare(savefig_kwargs={"dpi": 50}, tolerance=0.8, style="default")
@pytest.mark.parametrize("ground", ["white", "#111111"], ids=["light", "dark"])
@ALL
def test_looks_as_before(name, ground):
    """The marks of every figure are those of the picture that was looked at, on both grounds."""
    figure = getattr(plots, name)(FRAMES[name]).figure
    figure.patch.set(facecolor=ground, alpha=1)
    figure.set_layout_engine("none")
    figure.draw_without_rendering()
    for lettered in figure.findobj(lambda part: isinstance(part, Text | Legend)):
        lettered.set_visible(False)
    return figure


def test_durations_are_readable_and_ordered(ax):
    """The longest median is on top, ticks are durations for people, running ones are counted."""
    plots.duration_stats(DURATIONS, ax=ax)
    assert tick_texts(ax.yaxis) == ["Backup", "Restore", "Scan"]
    assert {"15 s", "5 min", "1 h"} <= set(tick_texts(ax.xaxis))
    assert texts(ax) == ["n = 1,234, 34 still running", "n = 40, 10 still running", "n = 1"]


def test_unreached_quantile_ends_in_an_arrow(ax):
    """A quantile that is missing is drawn as an arrow at the edge, not left out in silence."""
    plots.duration_stats(DURATIONS, ax=ax)
    arrows = [line for line in ax.lines if line.get_marker() == 9]
    assert [line.get_ydata()[0] for line in arrows] == [1]
    assert "not reached yet" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_group_that_never_ends_is_drawn(ax):
    """A group whose median is not reached stands on top with an arrow alone."""
    stuck = pd.DataFrame({"operation": ["Stuck"], "n": [5], "n_running": [5]})
    plots.duration_stats(pd.concat([DURATIONS, stuck], ignore_index=True), ax=ax)
    assert tick_texts(ax.yaxis)[0] == "Stuck"
    assert texts(ax)[0] == "n = 5, 5 still running"
    assert [line.get_ydata()[0] for line in ax.lines if line.get_marker() == 9] == [0, 2]


def test_rates_are_sorted_and_without_unknown_ones(ax):
    """The highest rate is on top; a group without a rate is not drawn as zero but counted."""
    plots.failure_stats(RATES, ax=ax)
    assert tick_texts(ax.yaxis) == ["Bad", "Good"]
    assert texts(ax) == ["5 of 20 failed", "0 of 50 failed"]
    assert "2 of 3 groups shown" in ax.get_xlabel()


def test_intervals_are_drawn_as_given(ax):
    """The line of a rate runs from ci_low to ci_high, with a shape for failed and for good."""
    plots.failure_stats(RATES, ax=ax)
    assert list(ax.lines[0].get_xdata()) == [0.11, 0.47]
    assert [line.get_marker() for line in ax.lines[1::2]] == ["D", "o"]


def test_a_cap_is_stated():
    """More groups than fit are announced in words."""
    many = pd.concat([RATES] * 20, ignore_index=True)
    made = plots.failure_stats(many, top=5, ax=Figure().add_subplot())
    assert "5 of 60 groups shown" in made.get_xlabel()


def test_bars_stack_to_the_counts(ax):
    """The bars of one day add up to its runs, and outcomes differ by hatch."""
    plots.trend(BUCKETS, ax=ax)
    heights = np.array([bar.get_height() for bar in ax.patches]).reshape(3, 5)
    assert heights.sum(axis=0).tolist() == [10, 11, 0, 10, 10]
    assert len({container[0].get_hatch() for container in ax.containers}) == 3


def test_trend_of_several_groups_is_refused(ax):
    """A trend split by groups is no single series; the error says what to do."""
    split = BUCKETS.assign(tenant="T")[["tenant", *BUCKETS.columns]]
    with pytest.raises(ValueError, match="split by tenant; select"):
        plots.trend(split, ax=ax)


def test_steps_keep_means_and_maxima(ax):
    """The concurrency line is a step per bucket, from its start to the next."""
    plots.concurrency(LOAD, ax=ax)
    levels, edges, _ = ax.patches[0].get_data()
    assert levels.tolist() == LOAD["max"].tolist()
    assert np.diff(edges) == pytest.approx([1, 1, 1, 25 / 24, 1])  # the clocks change on 25 October


def test_curves_start_at_one_and_end_in_an_arrow(ax):
    """A curve falls from 100 %; the share that outlasts all that is known is marked."""
    plots.survival(CURVES, ax=ax)
    arrows = [line for line in ax.lines if line.get_marker() == 9]
    assert [line.get_ydata()[0] for line in ax.lines if line not in arrows] == [1, 1]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in arrows] == [(20_000, 0.2)]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["Backup\nn = 30, 6 still running", "Restore\nn = 10"]


def test_most_curves_are_capped_in_words(ax):
    """The groups with most runs are drawn, and the axis says how many there were."""
    plots.survival(CURVES, top=1, ax=ax)
    assert "1 of 2 groups shown" in ax.get_xlabel()
    one = plots.survival(CURVES[:4].drop(columns="operation"), ax=Figure().add_subplot())
    assert one.get_legend().get_texts()[0].get_text() == "all\nn = 30, 6 still running"


@pytest.mark.parametrize("value", ["n", "queue_p95_s", "ci_low"])
def test_hours_stand_in_their_cells(value, ax):
    """Monday is on top, hours run to the right, and an hour without a start is a dot."""
    plots.weekly_load(WEEK, value, ax=ax)
    grid = np.ma.filled(ax.collections[0].get_array().astype(float).reshape(7, 24), np.nan)
    want = WEEK.set_index(["weekday", "hour"])[value]
    assert all(grid[cell] == number for cell, number in want.items())
    assert len(ax.lines[0].get_xdata()) == np.isnan(grid).sum() == 168 - len(WEEK)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_weeks_of_several_groups_and_other_columns_are_refused(ax):
    """The errors say what to do."""
    with pytest.raises(ValueError, match=r"split by tenant; .* weekly_load\(\) without by"):
        plots.weekly_load(WEEK.assign(tenant="T")[["tenant", *WEEK.columns]], ax=ax)
    with pytest.raises(ValueError, match="give one of n, queue_p50_s"):
        plots.weekly_load(WEEK, "hour", ax=ax)


def test_bars_of_a_night_are_the_runs(ax):
    """Each bar is as long as its run; runs that overlap share the height of their row."""
    plots.gantt(NIGHT, tz="Europe/Berlin", ax=ax)
    lengths = sorted(round(bar.get_width() * 86_400) for bar in ax.patches)
    assert lengths == sorted(NIGHT["duration_s"])
    heights = sorted({round(bar.get_height(), 6) for bar in ax.patches})
    assert heights == pytest.approx([0.36, 0.72])
    assert tick_texts(ax.yaxis) == ["srv-1", "srv-2", "srv-3", "srv-4", "vm $x$"]
    assert "from 2026-10-24 23:00 (Europe/Berlin)" in ax.get_xlabel()


def test_a_night_keeps_the_busiest_and_leaves_out_what_did_not_run(ax):
    """The cap is stated; waiting and legacy rows are no bars."""
    rows = NIGHT.assign(duration_s=NIGHT["duration_s"].mask(NIGHT["result.code"] == "meh"))
    rows["legacy"] = rows["result.code"] == "error"
    plots.gantt(rows, top=2, ax=ax)
    assert tick_texts(ax.yaxis) == ["srv-1", "vm $x$"]
    assert "2 of 3 resources shown" in ax.get_xlabel()


def test_never_good_keeps_the_curve_below_one(ax):
    """The cumulative curve ends at the share that ever had a good run."""
    plots.last_good(AGES, ax=ax)
    assert ax.lines[0].get_ydata()[-1] == 0.75
    assert "1 never had one" in ax.get_xlabel()


def test_names_are_text_and_no_formulas(ax):
    """Dollar signs and control characters in names neither break nor change the figure."""
    wild = RATES.assign(**{"tenant.name": ["$\\frac$", "a\x00b\u202e", None]})
    plots.failure_stats(wild, ax=ax)
    ax.figure.canvas.draw()
    assert tick_texts(ax.yaxis) == ["a b ", "$\\frac$"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.5, "0.5 s"), (59.6, "1 min"), (96, "1 min 36 s"),
        (610, "10 min"), (360, "6 min"), (3_599.9, "1 h"),
        (4_800, "1 h 20 min"), (86_400, "1 d"), (90_000, "1 d 1 h"), (-4_800, "−1 h 20 min"),
        (40 * 86_400 + 7_200, "40 d"), (np.nan, "–"), (None, "–"),
    ],
)  # fmt: skip
def test_durations_for_people(seconds, text):
    """Durations are written in at most two units, rounded at the right place."""
    assert duration_text(seconds) == text


def test_long_names_keep_both_ends():
    """A shortened name has the asked length, an ellipsis, and both of its ends."""
    name = short("abcdefghijklmnopqrstuvwxyz", 9)
    assert (len(name), name[0], name[-1], "…" in name) == (9, "a", "z", True)
    assert (short(None), short(np.nan), short("ok", 9)) == ("(none)", "(none)", "ok")


def test_plurals():
    """One thing is singular, none and many are plural."""
    assert [counted(n, "run") for n in (0, 1, 2_000)] == ["0 runs", "1 run", "2,000 runs"]
