"""Python runs this while it starts: the first process of a sandbox waits here for a job, any other passes by."""

import os
import sys

# Agents' images run other things as well, and one of those may be the first process of its container.
if os.getpid() == 1 and sys.orig_argv[1:] == ["main.py"]:
    from fleet_sandbox.first import main

    main()
