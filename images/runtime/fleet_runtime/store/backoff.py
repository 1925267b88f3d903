"""How long a job waits that the infrastructure failed: 0.5 s, doubled with each failure up to a minute."""

from typing import LiteralString

# On the database's clock, and over the column's value before this failure. Between half and all of it, at random, so
# that the jobs of a host that died do not all come back in the same moment.
BACKOFF: LiteralString = "make_interval(secs => least(60, 2.0 ^ least(failures - 1, 10)) * (0.5 + random() / 2))"
