"""Raw result files in, one verified results file out: every wanted request has exactly one line, in input order."""
