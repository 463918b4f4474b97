"""`bridge process` under the name that schedulers use."""

import sys

from bridge.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["process"]
    main()
