"""The dated price table, `prices.toml`: unit prices with their sources, and what an estimate has to assume."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

TABLE = Path(__file__).with_name("prices.toml")

Usd = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """Where a price is from."""

    what: str
    date: date
    assumed: bool = False


class Assumption(_Part):
    """A quantity that no plan says. `what` is the sentence that the estimate prints."""

    value: Annotated[float, Field(gt=0)]
    what: str
    source: str


class UnitPrice(_Part):
    """Dollars for one unit, which the price's name says. `everywhere`: the same in every region."""

    usd: Usd
    source: str
    everywhere: bool = False


class Instance(_Part):
    """A type of instance: dollars an hour on demand, and what it has."""

    usd: Usd
    vcpus: Annotated[int, Field(gt=0)]
    memory_gibibytes: Annotated[float, Field(gt=0)]


def _listing(section: object) -> object:
    """Take a section of prices by name with the one source of all of them."""
    if not isinstance(section, dict):
        return section
    given: dict[str, object] = section
    return {"source": given.get("source"), "by_name": {key: each for key, each in given.items() if key != "source"}}


class Numbers(_Part):
    """Numbers by name, all of one source."""

    source: str
    by_name: dict[str, Usd]


class Instances(_Part):
    """Instances by type, all of one source."""

    source: str
    by_name: dict[str, Instance]


class PriceTable(_Part):
    """The whole table."""

    region: str
    """The region of all prices that are not the same everywhere."""
    hours_per_month: Annotated[int, Field(gt=0)]
    sources: dict[str, Source]
    regions: Annotated[Numbers, BeforeValidator(_listing)]
    assumptions: dict[str, Assumption]
    prices: dict[str, UnitPrice]
    databases: Annotated[Numbers, BeforeValidator(_listing)]
    caches: Annotated[Numbers, BeforeValidator(_listing)]
    instances: Annotated[Instances, BeforeValidator(_listing)]

    @model_validator(mode="after")
    def _sources_are_there(self) -> "PriceTable":
        named = {each.source for each in (self.regions, self.databases, self.caches, self.instances)}
        named |= {each.source for each in (*self.assumptions.values(), *self.prices.values())}
        if missing := named - set(self.sources):
            raise ValueError(f"sources: there is no {', '.join(sorted(missing))}, which prices name")
        return self


@dataclass
class RegionalPrices:
    """The prices of one region, which remember what was asked of them, so that an estimate can name its grounds."""

    table: PriceTable
    region: str
    used_sources: set[str] = field(default_factory=set[str])
    used_assumptions: set[str] = field(default_factory=set[str])

    @property
    def factor(self) -> float:
        """How much dearer than the table's region this one is; 1 for a region that the table does not have."""
        return self.table.regions.by_name.get(self.region, 1.0)

    @property
    def region_is_known(self) -> bool:
        """Whether the table has this region."""
        return self.region in self.table.regions.by_name

    @property
    def hours(self) -> int:
        """Hours of a month."""
        return self.table.hours_per_month

    def unit(self, name: str) -> float:
        """Dollars for one unit. Raises KeyError for a price that the table does not have."""
        price = self.table.prices[name]
        self.used_sources.add(price.source)
        return price.usd * (1.0 if price.everywhere else self.factor)

    def monthly(self, hourly: str) -> float:
        """Dollars for a month of something that is paid by the hour."""
        return self.unit(hourly) * self.hours

    def has(self, name: str) -> bool:
        """Whether the table has that price."""
        return name in self.table.prices

    def instance(self, kind: str) -> Instance | None:
        """An instance type, its price that of the region; None where the table has no such type."""
        found = self.table.instances.by_name.get(kind)
        if found is None:
            return None
        self.used_sources.add(self.table.instances.source)
        return found.model_copy(update={"usd": found.usd * self.factor})

    def database(self, kind: str) -> float | None:
        """Dollars for a month of a database's class, PostgreSQL in one zone."""
        return self._listed(self.table.databases, kind)

    def cache_node(self, kind: str) -> float | None:
        """Dollars for a month of a cache's node."""
        return self._listed(self.table.caches, kind)

    def assumed(self, name: str) -> float:
        """An assumed quantity, which the estimate then names."""
        self.used_assumptions.add(name)
        return self.table.assumptions[name].value

    def _listed(self, listing: Numbers, kind: str) -> float | None:
        found = listing.by_name.get(kind)
        if found is None:
            return None
        self.used_sources.add(listing.source)
        return found * self.factor * self.hours


@cache
def price_table() -> PriceTable:
    """The table as it is shipped. Raises pydantic.ValidationError for one that is not as the models have it."""
    return PriceTable.model_validate(tomllib.loads(TABLE.read_text(encoding="utf-8")))


def regional(region: str, table: PriceTable | None = None) -> RegionalPrices:
    """The prices of a region."""
    return RegionalPrices(table or price_table(), region)


def used(prices: RegionalPrices) -> Mapping[str, Source]:
    """The sources of all prices that were asked for, by name."""
    return {name: prices.table.sources[name] for name in sorted(prices.used_sources)}
