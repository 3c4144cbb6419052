"""The datasets people have on disk, and any folder of videos: which videos there are, and in which split."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from ..video.frames import VIDEO_SUFFIXES, is_image
from .dataset import Dataset, Video
from .errors import DatasetError
from .manifest import PREPARED, read_manifest

T = TypeVar("T")

LISTS = {"training": ("normal_training",), "testing": ("normal_test", "abnormal_test")}  # UBnormal's, _video_names.txt

SPLITS = {
    "training": frozenset({"training", "train", "training_videos", "train_videos", "train_iitb-corridor"}),
    "testing": frozenset({"testing", "test", "testing_videos", "test_videos", "test_iitb-corridor"}),
}

# Layout -> what to look for, in words. The words stand in the error of who finds nothing.
LAYOUTS = {
    "ped2": "Train/Train001/001.tif and Test/Test001/001.tif (UCSD's own), or training/frames/01/000.jpg",
    "avenue": "training_videos/01.avi and testing_videos/01.avi, or training/frames/01/000.jpg",
    "shanghaitech": "training/videos/01_001.avi or training/frames/01_001/, testing/frames/01_0014/000.jpg",
    "corridor": "Train/000001/000001.avi and Test/000209/000209.avi, or training/frames/000001/000.jpg",
    "nwpu": "videos/Train/D001_01.avi and videos/Test/D001_03.avi, or training/frames/D001_01/000.jpg",
    "ubnormal": "Scene1/normal_scene_1_scenario1_1.mp4 and so on, with the authors' lists of videos beside the scenes",
    "folder": "training/ and testing/ with a video file or a folder of images for each video,"
    " or video files with no split, which are all taken for training",
}
# The folder that an archive unpacks to, where the set itself lies one deeper than the folder given.
WRAPPERS = {
    "ped2": ("ucsdped2",),
    "avenue": ("avenue dataset", "avenue_dataset", "avenue"),
    "shanghaitech": ("shanghaitech",),
    "corridor": ("iitb-corridor", "iitb_corridor", "corridor"),
    "nwpu": ("nwpucampusdataset", "nwpu_campus", "nwpu campus"),
    "ubnormal": ("ubnormal",),
}

_BESIDE = "csv doc docx htm html json m mat md npy npz pdf py srt txt vtt xml yaml yml"
BESIDE = frozenset(f".{kind}" for kind in _BESIDE.split())
"""What lies beside videos as a rule: labels, and words about them."""
SKIPPED = {"corridor": 1}  # first frames that are no picture: every Corridor video starts with a black one


def find_dataset(root: Path, layout: str = "auto") -> Dataset:
    """The videos below ``root``, read as ``layout``: one of LAYOUTS, or ``auto`` to tell by the names.

    Where a video is there as images and as a file, the images are taken. Hidden files are passed over.
    A folder that ``prepare`` filled is known by its manifest, whatever ``layout`` says. DatasetError where nothing is
    found, a split is empty, two videos have one name, or the layout is unknown.
    """
    root = Path(root)
    if layout != "auto" and layout not in LAYOUTS:
        raise DatasetError(f"layout {layout!r} is unknown; use auto or one of {', '.join(LAYOUTS)}")
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise DatasetError(f"{root} {what}; give the folder that holds the dataset's videos")
    if (root / PREPARED).is_file():
        return read_prepared(root)
    layout = _guess_layout(root) if layout == "auto" else layout
    home = find_home(root, layout)
    if layout == "ubnormal" and (scenes := scene_folders(home)):
        listed = _listed_videos(home, scenes)
        return Dataset(root, layout, listed["training"], listed["testing"])
    folders = {split: folder for split in SPLITS if (folder := find_split(home, split)) is not None}
    if not folders and layout == "folder":
        folders = {"training": home}
    found = {split: _videos(folder, layout) for split, folder in folders.items()}
    bare = next((folders[split] for split in found if not found[split]), None) if folders else root
    if bare is not None:
        hint = "give the folder above these, or use layout folder for videos of your own"
        if _holds_images(bare):
            hint = "it holds images itself: put each video's images into a folder of their own"
        raise DatasetError(f"{bare} holds no videos that layout {layout} knows: looked for {LAYOUTS[layout]}; {hint}")
    left_out = tuple(line for folder in folders.values() for line in _left_out(folder))
    return Dataset(root, layout, found.get("training", ()), found.get("testing", ()), left_out)


def read_prepared(root: Path) -> Dataset:
    """The dataset that ``prepare`` extracted to ``root``; DatasetError where its manifest is damaged or unfinished."""
    manifest = read_manifest(root)
    if not manifest.complete:
        raise DatasetError(f"{root} was not prepared to the end; run prepare again, it goes on where it stopped")
    found: dict[str, list[Video]] = {split: [] for split in SPLITS}
    for (split, name), entry in manifest.entries.items():
        # The folder is absolute for images that were only counted.
        times = None if entry.times is None else root / entry.times
        found[split].append(Video(name, root / entry.folder, entry.left, entry.rate, times, entry.depth, entry.lost))
    home = manifest.root if manifest.root.is_dir() else root  # the source's, where labels and masks lie
    return Dataset(home, manifest.layout, tuple(found["training"]), tuple(found["testing"]))


def _guess_layout(root: Path) -> str:
    """Which of LAYOUTS ``root`` follows; ``folder`` where no known dataset shows."""

    def folders(layout: str) -> list[Path]:
        home = find_home(root, layout)
        return [folder for split in SPLITS if (folder := find_split(home, split)) is not None]

    def inside(layout: str) -> list[Path]:
        return [child for folder in folders(layout) for child in children(folder) if child.is_dir()]

    if any(ucsd_name(path.name) != path.name for path in inside("ped2")):
        return "ped2"
    if any(p.name.lower() in {"training_videos", "testing_videos"} for p in children(find_home(root, "avenue"))):
        return "avenue"
    if any(re.fullmatch(r"\d{6}", path.name) and _nested(path) for path in inside("corridor")):
        return "corridor"
    if any(
        path.stem.startswith("normal_scene_")
        for s in scene_folders(find_home(root, "ubnormal"))
        for path in children(s)
    ):
        return "ubnormal"
    for layout, named in (("shanghaitech", r"\d{2}_\d{3,4}"), ("nwpu", r"D\d{3}_\d{2,3}")):
        names = [video.name for folder in folders(layout) for video in _videos(folder, layout)]
        if names and all(re.fullmatch(named, name) for name in names):
            return layout
    return "folder"


def find_home(root: Path, layout: str) -> Path:
    """``root``, or the folder in it that the archive unpacks to, if only that one has the splits."""
    inside = [child for name in WRAPPERS.get(layout, ()) for child in children(root) if child.name.lower() == name]
    places = [root, *(child for child in inside if child.is_dir())]
    if layout == "ubnormal":
        return next(filter(scene_folders, places), root)
    if layout == "nwpu":  # the splits lie in its videos/
        places += [place / "videos" for place in places if (place / "videos").is_dir()]
    return next((home for home in places if any(find_split(home, split) for split in SPLITS)), root)


def homes(dataset: Dataset) -> list[Path]:
    """Where labels and masks are looked for: the folder given, and the one that its archive unpacks to, last."""
    home = find_home(dataset.root, dataset.layout)
    beside = home.parent / "groundtruth"  # NWPU Campus has videos/ and groundtruth/
    others = [beside] if dataset.layout == "nwpu" and home != dataset.root and beside.is_dir() else []
    return list(dict.fromkeys((dataset.root, *others, home)))


def scene_folders(home: Path) -> list[Path]:
    """UBnormal's Scene1, Scene2 …; none where ``home`` is another set."""
    return [child for child in children(home) if re.fullmatch(r"scene\d+", child.name.lower()) and child.is_dir()]


def find_split(home: Path, split: str) -> Path | None:
    """The folder of a split, whatever the case of its name; None where there is none."""
    fits = [child for child in children(home) if child.name.lower() in SPLITS[split] and child.is_dir()]
    if len(fits) > 1:
        names = " and ".join(path.name for path in fits)
        raise DatasetError(f"{home} has {names}, which both name the {split} split; keep one of them")
    # Corridor's archive: Train_IITB-Corridor/Train/000001/
    return (find_split(fits[0], split) or fits[0]) if fits else None


def children(folder: Path) -> list[Path]:
    """What lies in a folder, in natural order, without hidden files."""
    return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: natural_key(p.name))


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """Orders names as people do: 2 before 10; names that differ only in zero padding by their text."""
    return _numbers_read(name), name


def ucsd_name(name: str) -> str:
    """UCSD's folder name as the authors' label files have it: Test001 is 01. Other names stay."""
    match = re.fullmatch(r"(?:train|test)(\d{3})", name, re.IGNORECASE)
    return f"{int(match[1]):02d}" if match else name


def match_names(found: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Label file's name -> video's name: the same, or the same but for zero padding (209 is 000209).

    A name that fits no video, or more than one, stays as it is: ``check_lengths`` then tells of it.
    """
    found, names = list(dict.fromkeys(found)), set(names)
    free: dict[tuple[str | int, ...], list[str]] = {}
    for name in names - set(found):
        free.setdefault(_numbers_read(ucsd_name(name)), []).append(name)
    matched = {}
    for name in found:
        fits = [] if name in names else free.get(_numbers_read(ucsd_name(name)), [])
        matched[name] = fits.pop() if len(fits) == 1 else name
    return matched


def renamed(found: Mapping[str, T], dataset: Dataset) -> dict[str, T]:
    """``found`` by a label file's names -> by the test videos' names, as `match_names` has them."""
    names = match_names(found, (video.name for video in dataset.testing))
    return {names[name]: value for name, value in found.items()}


def _videos(folder: Path, layout: str) -> tuple[Video, ...]:
    """The videos of one split, from its ``frames/`` and ``videos/`` where it has them, else from itself."""
    found: dict[tuple[bool, str], Path] = {}
    for path in (path for place in _places(folder) for child in children(place) for path in _video_paths(child)):
        name = path.name if path.is_dir() else path.stem
        name = ucsd_name(name) if layout == "ped2" else name
        if (other := found.setdefault((path.is_dir(), name), path)) != path:
            raise DatasetError(f"{other} and {path} are both video {name!r}; remove or rename one")
    paths = {name: path for (_, name), path in sorted(found.items(), key=lambda item: item[0])}  # images come last
    return tuple(Video(name, paths[name], SKIPPED.get(layout, 0)) for name in sorted(paths, key=natural_key))


def _left_out(folder: Path) -> Iterator[str]:
    """A line for each file among a split's videos that is not taken, but for what lies beside videos as a rule."""
    for place in _places(folder):
        for file in children(place):
            kind = file.suffix.lower()
            if file.is_file() and kind not in VIDEO_SUFFIXES | BESIDE:
                what, remedy = "a single image", "put a video's images into a folder of their own"
                if not is_image(file):
                    what = f"no video by its ending {kind!r}"
                    remedy = "if it is one, rename it or convert it with ffmpeg"
                yield f"{file} is left out: {what}; {remedy}"


def _places(folder: Path) -> list[Path]:
    return [p for p in children(folder) if p.name.lower() in {"frames", "videos"} and p.is_dir()] or [folder]


def _listed_videos(home: Path, scenes: list[Path]) -> dict[str, tuple[Video, ...]]:
    """UBnormal's splits: normal training videos, and all test videos, of those that are there. Validation is left out.

    The lists come with the authors' scripts, not with the videos.
    """
    inside = [child for scene in scenes for child in children(scene) if not child.name.endswith("_annotations")]
    paths = {path.stem if path.is_file() else path.name: path for child in inside for path in _video_paths(child)}
    places = [place for place in (home, home / "scripts") if place.is_dir()]
    lists = {path.name.lower(): path for place in places for path in children(place) if path.is_file()}
    found: dict[str, tuple[Video, ...]] = {}
    for split, parts in LISTS.items():
        names: list[str] = []
        for file in (f"{part}_video_names.txt" for part in parts):
            if file not in lists:
                raise DatasetError(f"{home} has no {file}; put it there, it is in the authors' repository, in scripts/")
            names += lists[file].read_text("utf-8", "replace").split()
        there = sorted({name.removesuffix(".mp4") for name in names} & paths.keys(), key=natural_key)
        found[split] = tuple(Video(name, paths[name]) for name in there)
        if not there:
            raise DatasetError(f"{home} has none of the {split} videos of {file}; unpack the set again")
    return found


def _video_paths(child: Path) -> Iterator[Path]:
    """What of ``child`` is a video: itself (a file, a folder of images), or the file of its name in it."""
    if not child.is_dir():
        if child.suffix.lower() in VIDEO_SUFFIXES:
            yield child
    elif child.name.endswith("_gt"):
        return  # UCSD's masks lie among its videos
    elif child.parent.name.lower() == "frames" or _holds_images(child):
        yield child  # an empty folder among the frames too: opening it says what is wrong
    else:
        yield from _nested(child)


def _nested(folder: Path) -> list[Path]:
    """The video file of a folder's own name in it."""
    videos = [path for path in children(folder) if path.suffix.lower() in VIDEO_SUFFIXES]
    return [path for path in videos if _numbers_read(path.stem) == _numbers_read(folder.name)]


def _holds_images(folder: Path) -> bool:
    return any(map(is_image, folder.iterdir()))


def _numbers_read(name: str) -> tuple[str | int, ...]:
    """Text and numbers in turn, so that keys compare part by part."""
    return tuple(int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name))
