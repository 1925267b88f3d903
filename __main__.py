"""The Pulumi program: reads the stack's settings and deploys the architecture that they name."""

import asyncio
from datetime import UTC, datetime

import pulumi

from settings.load import fleet_name, from_config
from settings.model import CONFIG_KEY, CONFIG_NAMESPACE, Settings
from settings.placeholders import placeholders
from settings.problems import SettingsError
from settings.relations import notices, warnings


def main() -> None:
    """Deploy the stack, or end with every problem of its settings and no traceback."""
    full_key = f"{CONFIG_NAMESPACE}:{CONFIG_KEY}"
    today = datetime.now(UTC).date()
    try:
        settings = from_config(
            pulumi.Config(CONFIG_NAMESPACE).get(CONFIG_KEY),
            secret=pulumi.runtime.is_config_secret(full_key),
            stack=pulumi.get_stack(),
            today=today,
        )
        examples = placeholders(settings)
        if examples and not pulumi.runtime.is_dry_run():
            raise SettingsError([each.problem for each in examples])
        fleet = fleet_name(pulumi.get_stack())
        outputs = _deployed(fleet, settings)
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None
    for warning in warnings(settings):
        pulumi.log.warn(warning)
    # In the preview, where it can still be thought over; said again at every update it would only be noise.
    if pulumi.runtime.is_dry_run():
        for notice in notices(settings, today):
            pulumi.log.info(notice)
        if examples:
            pulumi.log.warn(
                f"Examples in the settings, enough for a preview, and refused by an update until they are replaced: "
                f"{', '.join(each.key for each in examples)}."
            )
    pulumi.export("fleet", fleet)
    for name, value in outputs.items():
        pulumi.export(name, value)


def _deployed(fleet: str, settings: Settings) -> dict[str, object]:
    if settings.architecture == "cluster":
        return _cluster(fleet, settings)
    if settings.architecture == "queue":
        return _queue(fleet, settings)
    return _vm_on_ec2(fleet, settings) if settings.target == "ec2" else _vm(fleet, settings)


def _queue(fleet: str, settings: Settings) -> dict[str, object]:
    from architectures import queue

    return dict(queue.deploy(fleet, settings).outputs)


def _vm_on_ec2(fleet: str, settings: Settings) -> dict[str, object]:
    from architectures import vm_ec2

    return dict(vm_ec2.deploy(fleet, settings).outputs)


def _vm(fleet: str, settings: Settings) -> dict[str, object]:
    # Not at the top: the SDKs that the other architecture needs take seconds.
    from architectures import vm

    deployment = vm.deploy(fleet, settings)
    return {"url": deployment.url, "api_key": deployment.api_key}


def _cluster(fleet: str, settings: Settings) -> dict[str, object]:
    from architectures import cluster

    deployment = cluster.deploy(fleet, settings)
    outputs: dict[str, object] = {
        "url": deployment.url,
        "api_key": deployment.api_key,
        "api_keys": deployment.api_keys,
        "namespaces": deployment.namespaces,
        **deployment.others,
    }
    if settings.exposure.node_port is not None:
        outputs["node_port"] = settings.exposure.node_port
    return outputs


async def begin_registering() -> None:
    """Let every registration begin, so that the SDK waits for them one by one.

    Finding none begun, it would wait for any of all outputs, thousands of times for all of them: for a fleet of 50
    pools a third of the program's time.
    """
    await asyncio.sleep(0)


main()
pulumi.run(begin_registering)
