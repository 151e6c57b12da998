"""`python -m tests.journeys.said_before WORDS`: exit 0 if `runner WORDS` would be answered by what it said before."""

import sys

from runner.cli import unchanged

command = unchanged.asked(sys.argv[1:])
sys.exit(command is None or unchanged.read(command) is None)
