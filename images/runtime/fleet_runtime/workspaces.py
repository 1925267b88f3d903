"""How a tenant's workspaces are called: at the API, where a job asks for one, and at sandboxd, which makes them."""

import re

WORKSPACE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
WORKSPACE_RULE = "a name of 1 to 40 small letters, digits and hyphens, no hyphen first or last"
TENANT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
