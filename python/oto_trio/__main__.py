"""Lets `python -m oto_trio` be the command `oto-trio`."""

from oto_trio.cli import main

if __name__ == "__main__":
    main()
