"""The values that Karpenter's chart is given, against the chart's own: its source comes with its definitions.

The charts of Istio and KEDA come from nowhere that this project reaches; their values are typed, and no more.
"""

from typing import Any

import yaml
from agent_fleet.kubernetes.platform_values import karpenter_values
from custom_resource_definitions import SOURCES, module_folder


def unknown(given: dict[str, Any], known: dict[str, Any], path: str = "") -> list[str]:
    """The keys that the chart does not have. An empty mapping there takes anything."""
    found: list[str] = []
    for key, value in given.items():
        if key not in known:
            found.append(f"{path}{key}")
        elif isinstance(value, dict) and known[key]:
            found += unknown(value, known[key], f"{path}{key}.")
    return found


async def test_every_value_is_a_key_of_the_chart() -> None:
    """Helm ignores a misspelt key: no interruption queue, and spot nodes that end without a warning."""
    source = next(each for each in SOURCES if "karpenter" in each.module)
    known = yaml.safe_load((module_folder(source) / "charts" / "karpenter" / "values.yaml").read_text())
    values: Any = karpenter_values({"cluster_name": "c", "interruption_queue": "q"})
    assert not unknown(values, known)
    assert unknown({"settings": {"interruptionQueueName": "q"}}, known) == ["settings.interruptionQueueName"]
