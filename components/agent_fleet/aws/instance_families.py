"""EC2's instance types as far as hosts of the fleet may be of one. Stands alone: settings read it without Pulumi.

From https://aws.amazon.com/ec2/instance-types/, read in November 2026: general purpose, compute and memory. Types with
accelerators or disks of their own are left out, because nothing on a host of the fleet would use them.
"""

from collections.abc import Mapping
from types import MappingProxyType

AMD64, ARM64 = "amd64", "arm64"

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("t3", "t3a"), AMD64),
        **dict.fromkeys(("m5", "m5a", "m5n", "m6a", "m6i", "m6in", "m7a", "m7i", "m7i-flex", "m8a", "m8i"), AMD64),
        **dict.fromkeys(("m8i-flex", "c5", "c5a", "c5n", "c6a", "c6i", "c6in", "c7a", "c7i", "c7i-flex"), AMD64),
        **dict.fromkeys(("c8a", "c8i", "c8i-flex"), AMD64),
        **dict.fromkeys(("r5", "r5a", "r5n", "r6a", "r6i", "r6in", "r7a", "r7i", "r8a", "r8i"), AMD64),
        **dict.fromkeys(("t4g", "m6g", "m7g", "m8g", "c6g", "c6gn", "c7g", "c7gn", "c8g", "r6g", "r7g", "r8g"), ARM64),
    }
)
"""Each family with the architecture of its processors, as images name it."""

_GIBIBYTES_PER_CPU: Mapping[str, int] = MappingProxyType({"c": 2, "m": 4, "r": 8})
_CPUS: Mapping[str, int] = MappingProxyType(
    {
        "medium": 1,
        "large": 2,
        "xlarge": 4,
        "2xlarge": 8,
        "4xlarge": 16,
        "8xlarge": 32,
        "9xlarge": 36,
        "12xlarge": 48,
        "16xlarge": 64,
        "18xlarge": 72,
        "24xlarge": 96,
        "32xlarge": 128,
        "48xlarge": 192,
    }
)
_AMD_MEDIUM = ("7a", "8a")
"""Generations with processors of AMD that have the size `medium`; Intel's begin at `large`."""
_BURSTABLE_MEBIBYTES: Mapping[str, int] = MappingProxyType(
    {"nano": 512, "micro": 1_024, "small": 2_048, "medium": 4_096, "large": 8_192, "xlarge": 16_384, "2xlarge": 32_768}
)


def family_of(instance_type: str) -> str:
    """`m7i-flex.large` as `m7i-flex`."""
    return instance_type.partition(".")[0]


def family_problem(instance_type: str) -> str | None:
    """Why no host can be of this type, with what to take instead; None if one can."""
    family, _, size = instance_type.partition(".")
    if family in FAMILIES:
        sizes = _sizes(family)
        # A whole machine; how much memory it has differs.
        if size in sizes or size.startswith("metal"):
            return None
        return f"{size} is no size of {family} that this release knows; allowed: {', '.join(sizes)}"
    alike = [each for each in FAMILIES if each[:1] == family[:1]] or list(FAMILIES)
    return f"{family} is no family of instance types that this release knows; allowed: {', '.join(alike)}"


def _sizes(family: str) -> tuple[str, ...]:
    """A family's sizes. Some of the largest are not in every family; what is too small or misspelt is in none."""
    if family.startswith("t"):
        return tuple(_BURSTABLE_MEBIBYTES)
    return tuple(each for each in _CPUS if each != "medium" or FAMILIES[family] == ARM64 or family[1:] in _AMD_MEDIUM)


def architecture_of(instance_type: str) -> str | None:
    """`amd64` or `arm64`; None for a family that is not known."""
    return FAMILIES.get(family_of(instance_type))


def memory_mebibytes(instance_type: str) -> int | None:
    """The memory that a host of this type has; None for a size that is not known."""
    family, _, size = instance_type.partition(".")
    if family not in FAMILIES:
        return None
    if family.startswith("t"):
        return _BURSTABLE_MEBIBYTES.get(size)
    cpus = _CPUS.get(size)
    return None if cpus is None else cpus * _GIBIBYTES_PER_CPU[family[0]] * 1_024
