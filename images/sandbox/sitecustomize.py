"""Python runs this while it starts: the first process of a sandbox waits here for a job, any other passes by."""

import os

if os.getpid() == 1:
    from fleet_sandbox.first import main

    main()
