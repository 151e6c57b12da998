"""Words and exit codes only: one module a command, imported when it is asked for."""
