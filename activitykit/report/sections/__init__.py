"""The sections of a report: each takes the scope, computes with `stats`, and gives its content.

===========  =======================================================================================
`verdict`    0 and 1: coverage line, banners, the verdict and its numbers
`runs`       what 2, 4 and 8 share: runs with their outcome, keys of resources and plans
`act`        2: who needs somebody now, ranked, with the reasons of the rank
`tenants`    3: tenants, those that surely fail most first
`freshness`  4: the ages of last good runs against their targets
`failures`   5: when and why runs failed, and which reasons are new
`durations`  6: how long each kind of run takes, and what takes too long now
`load`       7: how much runs at once, and how long starts wait
`calendar`   8: how each resource did day by day
`method`     9: what is odd about the data, and what the words mean
`manifest`   10: what the report was made from
`compare`    differences of rates and of medians, as words
===========  =======================================================================================
"""
