"""`python -m hf_anchornet`: the command line."""

import sys

from hf_anchornet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
