"""Effects, in the order of a pass: resolve, poll, collect, plan, search, submit, write. All that spends is here."""
