"""What one setting of a cluster means for another: the way in, the images and what else runs there."""

import re
from collections.abc import Iterator

from settings.model import Settings
from settings.violation import Violation

_EXPOSURE_KEYS = {
    "cluster_ip": (),
    "node_port": ("node_port",),
    "ingress": ("host", "tls_secret", "cluster_issuer", "ingress_class"),
    "gateway": ("host", "gateway_name", "gateway_namespace"),
}
_REQUIRED = {
    "cluster_ip": (),
    "node_port": ("node_port",),
    "ingress": ("host",),
    "gateway": ("host", "gateway_name", "gateway_namespace"),
}


def exposure_violations(settings: Settings) -> Iterator[Violation]:
    """What the chosen way in needs, and what it would ignore."""
    exposure = settings.exposure
    kind = exposure.kind
    every = {key for keys in _EXPOSURE_KEYS.values() for key in keys}
    for key in sorted(every - set(_EXPOSURE_KEYS[kind])):
        if getattr(exposure, key) is not None:
            used = [name for name, keys in _EXPOSURE_KEYS.items() if key in keys]
            yield Violation(
                f"exposure.{key}",
                f"given, and it means nothing for fleet.exposure.kind {kind}: remove it, or choose {' or '.join(used)}",
                ("exposure.kind",),
            )
    for key in _REQUIRED[kind]:
        if getattr(exposure, key) is None:
            yield Violation(
                f"exposure.{key}",
                f"not given, and fleet.exposure.kind {kind} needs it: give it, or choose another kind",
                ("exposure.kind",),
            )
    if kind in ("ingress", "gateway") and not exposure.client_namespaces:
        yield Violation(
            "exposure.client_namespaces",
            f"not given, and fleet.exposure.kind {kind} needs it, or no traffic is let in: give the namespace of the "
            f"{kind}'s controller",
            ("exposure.kind",),
        )
    if kind == "ingress" and (exposure.tls_secret is None) == (exposure.cluster_issuer is None):
        count = "neither" if exposure.tls_secret is None else "both"
        yield Violation(
            "exposure.tls_secret",
            f"{count} of tls_secret and cluster_issuer given; the certificate comes from exactly one of them",
            ("exposure.kind", "exposure.cluster_issuer"),
        )
    if kind == "gateway" and settings.platform.gateway_api == "off":
        yield Violation(
            "exposure.kind",
            "given gateway, and fleet.platform.gateway_api is off: install the Gateway API's CRDs on the cluster and "
            "set that to exists, or choose ingress",
            ("platform.gateway_api",),
        )
    if settings.platform.istio != "off" and settings.platform.gateway_api == "off":
        yield Violation(
            "platform.istio",
            f"given {settings.platform.istio}, and fleet.platform.gateway_api is off; ambient mode needs the Gateway "
            "API's CRDs: install them on the cluster and set that to exists, or set istio to off",
            ("platform.gateway_api",),
        )


_IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")


def host_image_violations(settings: Settings) -> Iterator[Violation]:
    """Images of a Docker host that come from two places, or by a name that may move or be pulled."""
    images = settings.images
    if images.imported is None:
        return
    if images.digests is not None:
        yield Violation(
            "images.imported",
            "given as well as fleet.images.digests; images come from one source: leave one of the two out",
            ("images.digests",),
        )
    told = images.imported.model_dump(exclude_none=True)
    agents: dict[str, str] = told.pop("agents")
    for name, image in (*told.items(), *((f"agents.{name}", image) for name, image in agents.items())):
        if not _IMAGE_ID.fullmatch(image):
            yield Violation(
                f"images.imported.{name}",
                f'given "{image}"; on a Docker host it is the image\'s own id, sha256:<64 hexadecimal digits>, as '
                "`docker images --no-trunc` shows it",
                ("architecture",),
            )


def image_violations(settings: Settings) -> Iterator[Violation]:
    """Where the cluster's nodes would find no image."""
    images = settings.images
    given = [name for name in ("digests", "imported") if getattr(images, name) is not None]
    if len(given) == 2:
        yield Violation(
            "images.imported",
            "given as well as fleet.images.digests; images come from one source: leave one of the two out",
            ("images.digests",),
        )
    if not given and images.registry is None:
        yield Violation(
            "images.registry",
            "not given, and the cluster's nodes can pull from nowhere: give the registry that built images are pushed "
            "to, or fleet.images.digests for images that are in one already, or fleet.images.imported",
            ("images.digests", "images.imported"),
        )
    if given and images.registry is not None:
        yield Violation(
            "images.registry",
            f"given as well as fleet.images.{given[0]}, with which nothing is built and pushed: leave one of the two "
            "out",
            (f"images.{given[0]}",),
        )
    if images.imported is not None and settings.target == "eks":
        yield Violation(
            "images.imported",
            "given, and new nodes on eks start without any image: use fleet.images.digests",
            ("target",),
        )


def database_violations(settings: Settings) -> Iterator[Violation]:
    """A database that the cluster cannot have."""
    database = settings.database
    if database.kind == "rds" and settings.target != "eks":
        yield Violation(
            "database.kind",
            f"given rds, and fleet.target is {settings.target}: allowed is in_cluster, or the target eks",
            ("target",),
        )
    if database.kind == "rds" and "storage_class" in database.model_fields_set and database.storage_class is not None:
        yield Violation(
            "database.storage_class",
            "given, and RDS has no StorageClass: remove it, or set fleet.database.kind to in_cluster",
            ("database.kind",),
        )
