"""The root of voxzoo's exceptions, and the two that bad arrays and bad shapes raise.

The whole tree is drawn in ``voxzoo.zoo.errors``; it is rooted here because this is the ground floor,
which imports nothing of ours.
"""


class VoxzooError(Exception):
    """Base of every error that voxzoo raises on purpose: catch this to catch them all."""


class InputError(VoxzooError, ValueError):
    """An argument cannot be used: wrong shape, dtype, spacing, option. Says what was got and expected."""


class GeometryError(InputError):
    """Points, boxes or polygons that describe no drawable shape (< 3 points, NaN, absurd coordinates)."""
