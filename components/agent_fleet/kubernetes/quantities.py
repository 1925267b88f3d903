"""Kubernetes' quantities of processors and memory, as far as sums are made of them."""

import re
from decimal import Decimal

_MEBIBYTES = {"Ki": Decimal(1) / 1024, "Mi": Decimal(1), "Gi": Decimal(1024), "Ti": Decimal(1024 * 1024)}
_CPUS = re.compile(r"^(?P<number>[0-9]+(\.[0-9]+)?)(?P<milli>m?)$")
_MEMORY = re.compile(r"^(?P<number>[0-9]+(\.[0-9]+)?)(?P<unit>Ki|Mi|Gi|Ti)$")


def millicpus(quantity: str, field: str) -> int:
    """The number of thousandths of a processor; raises ValueError, naming the field, for anything else."""
    found = _CPUS.match(quantity)
    number = Decimal(found["number"]) * (1 if found["milli"] else 1000) if found else Decimal(0)
    if number <= 0 or number != int(number):
        raise ValueError(f'{field} is {quantity!r}; allowed are processors such as "250m", "0.5" or "2"')
    return int(number)


def mebibytes(quantity: str, field: str) -> int:
    """The number of whole mebibytes; raises ValueError, naming the field, for anything else."""
    found = _MEMORY.match(quantity)
    number = Decimal(found["number"]) * _MEBIBYTES[found["unit"]] if found else Decimal(0)
    if number < 1:
        raise ValueError(f'{field} is {quantity!r}; allowed is memory of at least 1Mi such as "256Mi" or "2Gi"')
    return int(number)
