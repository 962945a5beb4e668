"""`python -m mp4gen` is the command `mp4gen`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
