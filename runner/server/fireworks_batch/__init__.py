"""Fireworks' datasets and batch inference jobs, below `/v1/accounts/{account}`, and the storage behind signed URLs."""
