"""Not every alarm is an anomaly: what is wrong with a camera itself, and changes of its whole picture.

A camera's view is known by its fixed edges: the gradient of a small gray picture, by the double of its angle, so that
edges of other light and other polarity are the same, averaged over minutes. Trouble is named by where they are not.
The thresholds were chosen on one half of what ``bench/trouble.py`` renders; it prints the other half.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Kind = Literal["covered", "sprayed", "moved", "defocused", "frozen", "dark"]
Change = Literal["light", "colour", "picture"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LOOK = 0.3  # seconds from look to look: what is pushed between is not looked at
GAP = 1.0  # seconds that a look counts at most: what was not watched proves nothing
SIZE, BLOCKS = (160, 120), (16, 12)  # width and height of the small picture in pixels, and in blocks of edges
FLAW = 0.5  # levels a pixel: an edge that is no stronger may be noise
BELIEVED = 10.0  # seconds from the start that are believed where there is no reference
MEMORY = 120.0  # seconds over which the view is averaged
CALM = 10.0  # seconds after most of the picture has changed in which nothing is learned: it may be trouble's beginning
MOMENT = 2.0  # seconds over which a block's edges are, so that people who pass do not hide them
KNOWN = 0.5  # correlation of a block's edges with the average, usually, above which they are fixed
USUAL = 0.6  # what it is taken for where there is a reference
SEEN = 0.6  # of its usual correlation, from which a block counts as seen
SOME = 0.08  # share of blocks with fixed edges, below which the view is unknown
STRONG = 1.0  # levels a pixel that the edges of a block with fixed ones have, at least
LOST, FOUND = 0.4, 0.25  # share of fixed blocks whose edges are gone, at which trouble begins, and below which it ends
LITTLE = 0.15  # share of fixed blocks still seen, below which all of the picture is lost
FLAT = 0.25  # of the view's usual texture
EVEN = 4.0  # of its own: where the strongest hundredth of the edges is no stronger, nothing stands out
BLUR, CLEAR = 0.55, 0.75  # sharpness of fixed edges, of the usual, at which defocus begins and ends
SOFT = 0.85  # of the usual texture for its contrast, above which nothing is out of focus
ALIKE = 0.8  # correlation with the view from afar that defocus leaves, and that a moved camera's has, moved back
SHIFT = 0.8  # pixels of the small picture that a moved camera is off, at least
BLACK = 20.0  # levels, with less than a level of texture
STILL, SAME, FROZEN = 0.06, 2, 10.0  # share of points that may change by more than so many levels, in so many seconds
PATIENCE = 3.0  # seconds until trouble is believed, and until its end is
STAYS = 20.0  # seconds until a part of the picture counts as lost: a bus may stop, too
STIR = 3.0  # levels by which lost blocks may change from look to look: people who hide much of the view move
STEP = 0.12  # of the brightness, within a second
GRAY, COLOUR = 3.0, 6.0  # levels of saturation, reached by a hundredth of the picture
UNREST, MOST = 4.0, 0.6  # levels by which blocks change from look to look, and the share of those that do
LONGEST = 60.0  # seconds that changes which go on hold anomalies


@dataclass(frozen=True)
class Seen:
    """A camera as it is now; equal to what was seen before as long as nothing is new.

    ``kind`` of trouble, None where there is none, ``since`` a time as pushed. ``change`` of the whole picture that
    holds anomalies at present: of its ``light``, from ``colour`` to infrared or back, or of most of the ``picture``.
    """

    kind: Kind | None = None
    since: float = 0.0
    change: Change | None = None

    @property
    def why(self) -> str:
        """Why anomalies must be held now, in words; empty where they need not."""
        held = self.kind or self.change
        return WHY[held] if held else ""


WHY: dict[Kind | Change, str] = {
    "covered": "the camera is covered",
    "sprayed": "a part of the picture is hidden, and stays so",
    "moved": "the camera looks elsewhere",
    "defocused": "the picture is out of focus",
    "frozen": "the picture stands still",
    "dark": "the picture is black",
    "light": "the light has changed at once",
    "colour": "the camera has changed between colour and infrared",
    "picture": "most of the picture changes",
}


class Look(NamedTuple):
    """A picture at a glance: (120, 160) gray, (2, 120, 160) edges, their mean, saturation of a hundredth; in levels."""

    gray: Floats
    edges: Floats
    texture: float
    saturation: float


class View:
    """The fixed edges of a camera's view, and how well they are usually seen."""

    def __init__(self) -> None:
        self.gray, self.edges = np.zeros(SIZE[::-1], np.float32), np.zeros((2, *SIZE[::-1]), np.float32)
        self.usual = np.zeros(BLOCKS[::-1], np.float32)
        self.texture, self.looks = 0.0, 0

    def learn(self, look: Look) -> None:
        """One look more; the first ones count alike."""
        self.looks += 1
        share = max(1 / self.looks, LOOK / MEMORY)
        if self.looks > 1:
            self.usual += max(1 / (self.looks - 1), share) * (self.fit(look.edges) - self.usual)
        self.gray = self.gray + share * (look.gray - self.gray)
        self.edges = self.edges + share * (look.edges - self.edges)
        self.texture += share * (look.texture - self.texture)

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """The blocks by which the view is known."""
        return (self.usual >= KNOWN) & (power(self.edges) >= STRONG**2)

    def fit(self, edges: Floats) -> Floats:
        """How well each block's edges correlate with the view's, -1 to 1."""
        norm = np.sqrt((power(edges) + FLAW**2) * (power(self.edges) + FLAW**2))
        return np.asarray(blocks((edges * self.edges).sum(0)) / norm, np.float32)

    def kept(self, fit: Floats) -> NDArray[np.bool_]:
        """The fixed blocks that are seen."""
        return self.fixed & (fit >= SEEN * self.usual)

    def sharpness(self, look: Look) -> float:
        """Of the fixed edges, 1 as usual, whatever the contrast; infinite where even from afar the view is another."""
        here, usual = blocks(look.gray), blocks(self.gray)
        here, usual = here - here.mean(), usual - usual.mean()
        both, spread = float((here * usual).mean()), float(usual.std() * here.std())
        if both < ALIKE * spread or spread < FLAW**2:
            return np.inf
        if look.texture > SOFT * (contrast := both / float(usual.var())) * self.texture:
            return np.inf
        strength = blocks((look.edges * self.edges).sum(0)) / (power(self.edges) + 1e-6)
        return float(np.quantile(strength[self.fixed], 0.8)) / contrast

    def elsewhere(self, look: Look, seen_here: float) -> bool:
        """Whether the view is there, but shifted or turned: much more of it than the share that is seen in place."""
        window = cv2.createHanningWindow(SIZE, cv2.CV_32F)
        (x, y), _ = cv2.phaseCorrelate(*(np.hypot(*edges) * window for edges in (self.edges, look.edges)))
        warp, all_of_it = np.array([[1, 0, x], [0, 1, y]], np.float32), np.ones(SIZE[::-1], np.uint8)
        ends, way = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4), cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
        try:
            like, moved = cv2.findTransformECC(self.gray, look.gray, warp, cv2.MOTION_EUCLIDEAN, ends, all_of_it, 5)
            warp = np.asarray(moved, np.float32)
        except cv2.error:  # it did not converge
            return False
        corners = np.array([[0, 0, 1], [SIZE[0], 0, 1], [0, SIZE[1], 1], [*SIZE, 1]], np.float32)
        back = np.asarray(cv2.warpAffine(look.gray, warp, SIZE, flags=way), np.float32)
        inside = blocks(cv2.warpAffine(np.ones_like(look.gray), warp, SIZE, flags=way)) > 0.99
        known, all_known = np.count_nonzero(self.fixed & inside), np.count_nonzero(self.fixed)
        kept = np.count_nonzero(self.kept(self.fit(edges_of(back))) & inside)
        off = np.linalg.norm(corners @ warp.T - corners[:, :2], axis=1).mean()
        better = 2 * known >= all_known and kept > max(1 - LOST, seen_here + LITTLE) * known
        return bool(like >= ALIKE and off >= SHIFT and better)


class Trouble:
    """What is wrong with one camera, from its pictures and their times; of constant time a look, and of no growth.

    The view is learned slowly, from the start of watching; the first ten seconds are believed, unless a ``reference``
    from normal video, (H, W, 3) uint8 RGB, says what is right. While there is trouble nothing is learned: it ends
    when the view is back, or by `accept`; so a camera that has moved stays ``moved``. After a change of the whole
    picture anomalies are held for ``hold`` seconds. TsvadError for what is no such number.
    """

    def __init__(self, reference: Image | None = None, hold: float = 10.0) -> None:
        if not 0 <= hold < np.inf:
            raise TsvadError(f"hold must be seconds, 0 or more, got {hold}")
        self.hold, self.seen = hold, Seen()
        self._clock, self._time, self._looked = 0.0, -np.inf, -np.inf  # the clock goes only while pictures come
        self._still, self._anchor = 0.0, np.zeros((0, 0), np.int16)
        self._pending: Kind | None = None
        self._pended, self._pended_at = 0.0, 0.0
        self._began, self._last, self._stirred = -np.inf, -np.inf, -np.inf  # of changes that go on
        self._stir, self._past = np.zeros(BLOCKS[::-1], np.float32), deque[tuple[float, Floats]]()
        self._gray: bool | None = None
        self.accept()
        if reference is not None:
            look, view = look_at(reference), self._view
            view.learn(look)
            view.looks, view.usual = round(BELIEVED / LOOK), view.usual + np.float32(USUAL)
            self._gray = look.saturation < GRAY

    def accept(self) -> None:
        """Takes what is seen from now on for right, as at the start."""
        self._view, self._fit, self._since = View(), np.ones(BLOCKS[::-1], np.float32), self._clock
        self._pending = None
        if self.seen.kind is not None:
            self.seen = replace(self.seen, kind=None, since=self._time)

    def push(self, time: float, image: Image) -> Seen:
        """A picture, (H, W, 3) uint8 RGB, and its time in seconds; all may be pushed, few are looked at."""
        self._clock += min(max(0.0, time - self._time), GAP) if np.isfinite(self._time) else 0.0
        self._time = time
        if (passed := self._clock - self._looked) < LOOK:
            return self.seen
        self._looked = self._clock
        look, points = look_at(image), image[:: max(1, image.shape[0] // 120), :: max(1, image.shape[1] // 160), 1]
        if self._anchor.shape != points.shape or np.mean(abs(points - self._anchor) > SAME) > STILL:
            self._anchor, self._still = points.astype(np.int16), self._clock
        fit = self._view.fit(look.edges)
        if change := self._change(look, self._view.kept(fit), passed):
            self._began = self._clock if self._clock - self._last > self.hold else self._began
            self._last, self._stirred = self._clock, self._clock if change == "picture" else self._stirred
        held = self._clock - self._last <= self.hold and self._clock - self._began <= LONGEST
        first = change if change == "colour" else self.seen.change or change
        self.seen = replace(self.seen, change=first if held else None)
        if change != "picture" or self.seen.change is None:  # while it changes it says nothing of the view
            self._fit += min(1.0, passed / MOMENT) * (fit - self._fit)
            self._judge(look)
        return self.seen

    def _change(self, look: Look, kept: NDArray[np.bool_], passed: float) -> Change | None:
        """What has changed all over the picture within a second."""
        fixed, past = np.count_nonzero(self._view.fixed), self._past
        share = np.count_nonzero(kept) / fixed if fixed else 1.0
        gray = look.saturation < (GRAY if self._gray is False else COLOUR)
        switched, self._gray = self._gray not in (None, gray) and share > LITTLE, gray
        before, last = (past[0][1], past[-1][1]) if past else (look.gray, look.gray)
        past.append((self._clock, look.gray))
        while self._clock - past[0][0] >= 1.0:
            past.popleft()
        brighter = cv2.resize((blocks(look.gray) + 8) / (blocks(last) + 8), SIZE)
        stir = blocks(abs(look.gray - last * brighter))
        self._stir += min(1.0, passed / MOMENT) * (stir - self._stir)
        if switched:
            if self.seen.kind is None:
                self.accept()
            return "colour"
        if np.mean(stir > UNREST) >= MOST:
            return "picture"
        step = abs(float(np.log(np.median((look.gray + 8) / (before + 8)))))
        return "light" if step >= STEP and share >= 1 - LOST else None

    def _judge(self, look: Look) -> None:
        raw = self._raw(look)
        calm = self.seen.change is None or self._clock - self._stirred > CALM
        if raw is None and self.seen.kind is None and calm:
            self._view.learn(look)
        if raw != self._pending:
            self._pending, self._pended, self._pended_at = raw, self._clock, self._time
        patience = STAYS if raw == "sprayed" else PATIENCE
        if raw != self.seen.kind and self._clock - self._pended >= patience:
            self.seen = replace(self.seen, kind=raw, since=self._pended_at)

    def _raw(self, look: Look) -> Kind | None:
        """What this look alone says."""
        if look.gray.mean() < BLACK and look.texture < 1:
            return "dark"
        believed = self._clock - self._since >= BELIEVED or self._view.looks >= BELIEVED / LOOK
        if believed and np.mean(self._view.fixed) >= SOME and (kind := self._misfit(look)):
            return kind
        return "frozen" if self._clock - self._still >= FROZEN else None

    def _misfit(self, look: Look) -> Kind | None:
        """How the fixed edges are not where they are in the view."""
        view, now = self._view, self.seen.kind
        kept = view.kept(self._fit)
        share = np.count_nonzero(kept) / np.count_nonzero(view.fixed)
        if view.sharpness(look) < (CLEAR if now == "defocused" else BLUR):
            return "defocused"
        if 1 - share < (FOUND if now else LOST):
            return None
        if share < LITTLE and look.texture < FLAT * view.texture:
            return "covered"
        if "moved" in (now, self._pending) or view.elsewhere(look, share):
            return "moved"
        if share < LITTLE:
            return "covered" if np.percentile(np.hypot(*look.edges), 99) < EVEN * look.texture else "moved"
        return "sprayed" if now or np.median(self._stir[view.fixed & ~kept]) <= STIR else None


def look_at(image: Image) -> Look:
    """A picture, (H, W, 3) uint8 RGB, at a glance."""
    small = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
    edges = edges_of(gray := cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32))
    spread = np.maximum.reduce(cv2.split(small)) - np.minimum.reduce(cv2.split(small))
    return Look(gray, edges, float(np.hypot(*edges).mean()), float(np.percentile(spread, 99)))


def edges_of(gray: Floats) -> Floats:
    """The gradient of (H, W) in levels a pixel, at double its angle: (2, H, W)."""
    across, down = (cv2.Sobel(gray, cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1)))
    size = np.hypot(across, down) + 1e-6
    return np.stack([(across**2 - down**2) / size, 2 * across * down / size]).astype(np.float32)


def power(edges: Floats) -> Floats:
    """The mean square of (2, 120, 160) edges in blocks, (12, 16)."""
    return blocks(np.asarray(np.square(edges).sum(0), np.float32))


def blocks(values: NDArray[np.float32] | cv2.typing.MatLike) -> Floats:
    """The means of (120, 160) values in blocks, (12, 16)."""
    return np.asarray(cv2.resize(values, BLOCKS, interpolation=cv2.INTER_AREA), np.float32)
