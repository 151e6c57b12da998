"""One file to show. Pure: facts in, bytes out; nothing here counts, reads a file of the user's, or knows the time.

Every figure of a page, of a Markdown comment and of a JUnit file stands in the facts (`facts.py`), and nowhere else.
"""
