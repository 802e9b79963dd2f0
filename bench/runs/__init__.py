"""Runs, the packs they train in, and what makes records of them."""
