"""The base image that the fleet's images are built from, with its errors in the commands' form."""

from engine.errors import UserFacingError
from engine.report import Report
from images.base.ensure import BaseImageError, ensure_base


def ensure_base_image(report: Report) -> str:
    """Make sure that Docker has the base image; return its tag."""
    try:
        return ensure_base(report)
    except BaseImageError as error:
        message, _, remedy = str(error).partition("\n")
        raise UserFacingError(message, remedy) from error
