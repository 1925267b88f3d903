"""The Pulumi program: reads the stack's settings and deploys the architecture that they name."""

import pulumi

from architectures import vm
from settings.load import fleet_name, from_config
from settings.model import CONFIG_KEY, CONFIG_NAMESPACE
from settings.problems import SettingsError
from settings.relations import notices


def main() -> None:
    """Deploy the stack, or end with every problem of its settings and no traceback."""
    full_key = f"{CONFIG_NAMESPACE}:{CONFIG_KEY}"
    try:
        settings = from_config(
            pulumi.Config(CONFIG_NAMESPACE).get(CONFIG_KEY), secret=pulumi.runtime.is_config_secret(full_key)
        )
        fleet = fleet_name(pulumi.get_stack())
        deployment = vm.deploy(fleet, settings)
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None
    # In the preview, where it can still be thought over; said again at every update it would only be noise.
    for notice in notices(settings) if pulumi.runtime.is_dry_run() else ():
        pulumi.log.info(notice)
    pulumi.export("url", deployment.url)
    pulumi.export("api_key", deployment.api_key)
    pulumi.export("fleet", fleet)


main()
