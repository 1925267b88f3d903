"""Functions of the C library that Python has no name for, without all of ctypes, which would be loaded every time."""

import _ctypes  # pyright: ignore[reportMissingImports] - private to Python's ctypes

_C_CALL = 1


class _Long(_ctypes._SimpleCData):  # pyright: ignore  # what ctypes.c_long is
    _type_ = "l"


class _Function(_ctypes.CFuncPtr):  # pyright: ignore
    _flags_ = _C_CALL
    _restype_ = _Long


_LIBRARY = _ctypes.dlopen(None, 0)  # pyright: ignore[reportArgumentType] - the program itself


def call(name: str, *arguments: int) -> int:
    """Call a function that takes and returns integers of a machine word; what it returns as an int is cut to one."""
    found = _Function(_ctypes.dlsym(_LIBRARY, name))(*(_Long(argument) for argument in arguments))
    return (found & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
