"""The components' own tables and arithmetic, read without importing their package.

Importing `agent_fleet` imports Pulumi and its providers, which takes seconds; these modules import nothing of it, so
that a wrong version or a small network is refused at once, by the very code that the components use.
"""

import sys
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


@cache
def component_module(name: str) -> ModuleType:
    """A module of `agent_fleet` that stands alone, for example `versions` or `aws/subnets`."""
    package = find_spec("agent_fleet")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("agent_fleet is not installed; run make setup", name="agent_fleet")
    file = Path(next(iter(package.submodule_search_locations))) / f"{name}.py"
    spec = spec_from_file_location(f"agent_fleet_alone.{name.replace('/', '.')}", file)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{file} cannot be loaded", name=name)
    module = module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
