"""What differs from one plaza's camera to another's; by default all is the demo's."""

from typing import NamedTuple

from .figures import Colour

Way = tuple[tuple[float, float], ...]  # waypoints on the ground, (right, away) metres


class Pose(NamedTuple):
    """Where the camera stands and how it looks."""

    up: float = 30.0  # metres above ground: high, so that a body hides little of the ground behind it
    back: float = 30.0  # metres before the plaza's near edge: far, so that near people look little larger than far ones
    right: float = 0.0  # metres
    turn: float = 0.0  # radians to the right
    pitch: float = 0.66  # radians below the horizon
    zoom: float = 1.0  # of the focal length


class Variety(NamedTuple):
    """Camera, ground, crowd and sensor of one plaza."""

    pose: Pose = Pose()
    ground: Colour = (1.0, 1.0, 1.0)  # factors of the ground's colours
    wall: Colour = (1.0, 1.0, 1.0)  # and of the building's
    tile: float = 0.8  # metres, a slab of the paving
    lawn: bool = True
    patches: int = 0  # rectangles of other colours on the ground
    props: bool = True  # lamp post, tree and benches
    people: float = 10.0  # on screen, about
    stay: float = 15.0  # seconds of one walker on screen, about
    ways: tuple[Way, ...] = ()  # where people walk; none: the plaza's usual ways
    traffic: tuple[tuple[str, float], ...] = ()  # bicycle, cart or running as normal traffic, and its share
    gain: float = 1.0  # of the image
    haze: float = 0.0  # grey levels added to it
    shade: float = 1.0  # factor of the shadows' strength
    noise: float = 1.5  # standard deviation of the sensor's noise, of 255


PLAIN = Variety()
