"""Plan and apply against modelled remotes, in modelled time: thousands of histories, each replayed by its seed."""
