"""Sums, ranking, metrics, bootstrap and inference: numbers in, numbers out; no file is known here."""
