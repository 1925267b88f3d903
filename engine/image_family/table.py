"""The closing table of `make images`."""

from engine.image_family.production import Outcome

_COLUMNS = ("image", "MB", "compressed", "layers", "build", "checks", "what", "digest")


def table(outcomes: list[Outcome]) -> str:
    """A line for each image: its weight, what the build took, how many steps passed of those that apply, its digest."""
    rows = [_COLUMNS, *(_row(outcome) for outcome in outcomes)]
    widths = [max(len(row[number]) for row in rows) for number in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 0 < number < 6 else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _row(outcome: Outcome) -> tuple[str, ...]:
    record = outcome.record
    if record is None:
        return (outcome.image.name, "-", "-", "-", "-", "-", "failed", "")
    applied = [each for each in outcome.results if each.outcome != "not applicable"]
    passed = sum(not each.failed for each in applied)
    return (
        outcome.image.name,
        f"{record.bytes / 1e6:.1f}",
        f"{record.compressed_bytes / 1e6:.1f}",
        str(record.layers),
        f"{record.seconds:.1f} s",
        f"{passed}/{len(applied)}",
        "failed" if outcome.errors else ", ".join(outcome.changed) or "unchanged",
        record.digest,
    )
