"""`python -m benches`."""

import sys

from benches.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
