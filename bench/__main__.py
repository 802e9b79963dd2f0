"""`python -m bench` is `bench`."""

from bench.cli.app import main

if __name__ == "__main__":
    main("bench")  # in help and for a shell's completion, which `python -m bench` cannot have
