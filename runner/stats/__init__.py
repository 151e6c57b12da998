"""Numbers with intervals: closed forms, one pass, no random numbers, the same digits everywhere.

Nothing here knows of rows, checks or jobs. One rule covers rates, means, ratios, F1 and their differences: a metric
gives each row one *influence*, and the squared influences of clusters add up to its variance (`influence`).
"""
