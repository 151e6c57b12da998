"""What an answer is held to. Pure: text in, what was read out; nothing here knows of files, remotes or time.

One rule runs through the readers: never guess. What could be read in two ways is unreadable, and is counted as that.
"""
