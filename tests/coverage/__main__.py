"""Count how often intervals hold the truth: `python -m tests.coverage`; minutes on two cores, the same every time."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

TABLES, QUICK_TABLES = 1000, 4


def main(words: Sequence[str] | None = None) -> int:
    """Parse, simulate, print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.coverage", description=__doc__)
    parser.add_argument(
        "--tables", type=int, default=TABLES, metavar="N", help=f"simulated tables ({TABLES})"
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (2)")
    parser.add_argument(
        "--shared",
        type=float,
        default=0.0,
        metavar="PART",
        help="part of the fold noise's variance that all folds of a table have alike (0)",
    )
    parser.add_argument("--quick", action="store_true", help="see that all works; its numbers mean nothing")
    asked = parser.parse_args(words)
    os.environ.update(
        dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    )  # before NumPy is imported
    from bench.report.render import markdown_table
    from tests.coverage.intervals import cells, tables_of

    found = list(cells(QUICK_TABLES if asked.quick else asked.tables, asked.workers, asked.shared, _tell))
    for title, (head, *rows) in tables_of(found):
        sys.stdout.write("\n".join([f"{title}.", "", *markdown_table(head, rows), "", ""]))
    return 0


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
