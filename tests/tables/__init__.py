"""Tables as their owners have them, read by two checkouts of `bench`: `python -m tests.tables [--against CHECKOUT]`.

Every case is a small file with its right value: what a column holds, the words of a refusal, or those of a note. The
verdicts are computed from what a checkout reads, which a process of its own does (`probe.py`), so that an older
checkout is asked the same. `--harm` trains on tables of fixed seeds, to see what a wrong reading costs.
Nothing here is imported by the rest of `bench`.
"""
