"""The engine beside named peers, in one process and one thread: `python -m tests.speed`.

Each peer does the same work, which is checked before it is timed, and is written as a researcher would write it.
Contenders are timed in turn, round after round, so that a busy machine slows all of them alike; a ratio is
the median of the rounds' ratios. Nothing here is imported by the rest of `bench`.
"""
