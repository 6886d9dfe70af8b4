"""Activities as JSON -> one flat frame, and back.

From the top: `frame` (what users call), `resolve` (which rows stay, and the type of each column),
`decode` (bytes to single values), `derive` (operation and errors), `shapes` (structs that learn
keys), `documents` (chunks cut into activities), `names` (paths and columns), `times`.

What a load noted is in ``df.attrs["activitykit"]``, plain JSON throughout:

``schema_version``
    Of the columns, see `activitykit.schema`.
``source``, ``filter``
    Where the activities came from, and the filter as Python text; set by `load`.
``ended_since``
    The moment from which on ``completedAt`` chose the rows; only then, set by `Filter.select`.
``complete``
    False when the load broke off.
``pages``, ``rows``
    JSON documents or blocks of a file read, and activities found in them.
``duplicates``
    ``{"n": …, "example_ids": […]}``: further copies of activities, left out.
``tasks_left_out``
    Number of tasks found among activities.
``conflicts``
    One ``{"column", "kinds", "example_ids"}`` per column with mixed kinds, kept as JSON text;
    ``kinds`` counts the rows of each kind.
``unreadable_times``
    One ``{"column", "n", "example_ids"}`` per time column with something that is no time.
``json_columns``
    Columns whose values are JSON text.
``rest_columns``
    Names of the columns that went to ``context_rest``.
"""

from activitykit.flatten.frame import flatten, flatten_pages, unflatten

__all__ = ["flatten", "flatten_pages", "unflatten"]
