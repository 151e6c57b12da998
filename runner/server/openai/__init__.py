"""OpenAI's files and batches, below `/v1`."""
