"""The family of images: built, verified, described, signed and pushed by one command."""
