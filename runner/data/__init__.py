"""Rows in: datasets of JSONL, CSV and Parquet files, streamed, every row with the place it came from."""
