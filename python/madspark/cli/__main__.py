"""`python -m madspark.cli` runs the command `madspark`."""

import sys

from madspark.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
