"""`anchornet evaluate` for a clone: `scripts/evaluate.py --help`."""

import importlib
import sys
from pathlib import Path

# Python looks for modules in the folder of a script first, where this file has the name of the
# library `evaluate`: it steps out of the way, for itself and for the scripts beside it.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve()]

if __name__ == "__main__":
    from hf_anchornet.cli import main

    sys.exit(main(["evaluate", *sys.argv[1:]]))

del sys.modules[__name__]
sys.modules[__name__] = importlib.import_module(__name__)
