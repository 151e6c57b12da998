"""Random histories of real `runner` processes against a remote with a ledger of its own."""
