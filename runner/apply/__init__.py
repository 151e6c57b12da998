"""Effects, in order: recover, settle, refresh, collect, plan, submit, write. Everything that spends is here."""
