"""The README in a bundle, for somebody who has nothing but the archive."""

from engine.bundle.writing import Staging


def readme(staging: Staging) -> str:
    """What it is, how it is used, what it has and what it lacks."""
    described = staging.described
    kinds: dict[str, list[int]] = {}
    for entry in staging.entries().values():
        kinds.setdefault(str(entry["kind"]), []).append(int(entry["bytes"]))
    has = "\n".join(
        f"- {len(sizes)} of kind {kind}, {sum(sizes) / 1e6:.0f} MB" for kind, sizes in sorted(kinds.items())
    )
    lacks = "\n".join(f"- {what}: {why}" for what, why in described["absent"].items())
    return f"""# agent-fleet, bundle {described["version"]}

Made from commit {described["commit"]} for {described["machine"]}, Python {described["python"]}.

On a machine with Docker, python3 with its venv module, make, and a clone of that commit:

    make up BUNDLE=<this archive>

`make cluster-images BUNDLE=<this archive>` gives the nodes of a cluster the images. Both check every entry against
manifest.json before anything is changed. docs/air-gapped.md in the clone has the rest.

In it (manifest.json lists every entry with its SHA-256):

{has}

Not in it:

{lacks}
"""
