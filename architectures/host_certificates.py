"""The certificates that this machine trusts, for downloads while images are built."""

from pathlib import Path

from images.base.certificates import own_bundle
from settings.problems import SettingsError


def ca_bundle(setting: str) -> str | None:
    """The PEM text that `fleet.images.build.ca_bundle` means, or None for the images' own certificates.

    Raises SettingsError where a path was given that holds no certificates.
    """
    if setting == "none":
        return None
    if setting == "auto":
        found = own_bundle()
        return None if found is None else found.read_text(encoding="utf-8")
    try:
        text = Path(setting).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "not text" if isinstance(error, UnicodeDecodeError) else (error.strerror or "unreadable").lower()
        raise _refused(setting, reason) from error
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise _refused(setting, "no certificate in it")
    return text


def _refused(setting: str, reason: str) -> SettingsError:
    return SettingsError(
        [
            f'fleet.images.build.ca_bundle: given "{setting}" ({reason}); allowed: auto, none or the path of a PEM '
            "file with certificates."
        ]
    )
