"""Activities for longer than the service keeps them.

`rows` says what a row holds and puts activities together again, `ledger` what was fetched when,
`tables` how both are committed, `sync` what is asked of the service, `conditions` which rows a
filter needs. `archive` is what users see of it.
"""

from activitykit.archive.archive import Archive, is_archive

__all__ = ["Archive", "is_archive"]
