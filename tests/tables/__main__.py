"""Read tables as their owners have them, before and now: `python -m tests.tables [--against CHECKOUT] [--harm]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parents[2]


def main(words: Sequence[str] | None = None) -> int:
    """Parse, read or train, print; return 1 where this checkout does not do right by a case."""
    parser = argparse.ArgumentParser(prog="python -m tests.tables", description=__doc__)
    parser.add_argument(
        "--against", type=_checkout, metavar="CHECKOUT", help="another checkout of bench, for before"
    )
    parser.add_argument(
        "--harm", action="store_true", help="train, instead of reading: what a wrong reading costs"
    )
    parser.add_argument(
        "--point", action="append", metavar="P", help="only this point of the issue; repeatable"
    )
    asked = parser.parse_args(words)
    checkouts = [*([asked.against] if asked.against else []), HERE]
    with TemporaryDirectory(prefix="bench-tables-") as folder:
        if asked.harm:
            from tests.tables.harm import measured

            sys.stdout.write(measured(checkouts, Path(folder), asked.point or ()))
            return 0
        from tests.tables.verdicts import as_text, verdicts

        judged = verdicts(checkouts, Path(folder), asked.point or ())
    sys.stdout.write(as_text(judged))
    return 0 if all(row.verdicts[-1].is_right for row in judged) else 1


def _checkout(text: str) -> Path:
    path = Path(text).resolve()
    if not (path / "bench" / "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"there is no checkout of bench at {text}")
    return path


if __name__ == "__main__":
    sys.exit(main())
