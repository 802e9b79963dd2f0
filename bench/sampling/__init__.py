"""Samplers, the neighbours that they look for, and resampled sets kept on disk."""
