"""`python -m loadtests`."""

import sys

from loadtests.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
