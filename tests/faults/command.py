"""`wirework run` with settings of its own, few descriptors and little room for its log.

python -m tests.faults.command '{"descriptors": 256, "output": 4096, "environment": {...}}' run ...
"""

from __future__ import annotations

import json
import os
import resource
import sys

from wirework.cli import main

if __name__ == "__main__":
    own = json.loads(sys.argv.pop(1))
    os.environ |= own["environment"]
    if own["descriptors"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (own["descriptors"],) * 2)
    if own["output"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (own["output"],) * 2)
    main()
