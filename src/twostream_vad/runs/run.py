"""A run folder: the recipe, the data, and what each stage made; a stage is done once, and resumes when it was not."""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ..datasets.dataset import Dataset
from ..datasets.layouts import find_dataset, read_prepared
from ..datasets.manifest import Prepared, read_manifest
from ..errors import TsvadError
from ..recipes import override_recipe, parse_recipe
from ..settings import Recipe
from ..storage import typed, write_text
from .pipeline import STAGES

RECORDS = "stages.json"
TORCH = "torch", "fp32"  # what computes nets unless another engine is asked for
HALF_DELETED = "half deleted"
"""Identity of a stage whose outputs are being deleted: no settings have it."""
Records = dict[str, dict[str, Any]]


class RunError(TsvadError):
    """A run folder that cannot be used as asked; the message says what to do next."""


class Run:
    """A run folder, perhaps a link to a big disk, its recipe, the dataset's root, and labels given by hand, if any."""

    def __init__(self, folder: Path, recipe: Recipe, data: Path, labels: Path | None = None) -> None:
        self.folder, self.recipe, self.data, self.labels = folder, recipe, data, labels

    @classmethod
    def create(
        cls, folder: Path, recipe: Recipe, data: Path, labels: Path | None = None, *, write: bool = True
    ) -> "Run":
        """A new run, or the one already there if it is of the same data; its recipe becomes ``recipe``.

        Without ``write`` nothing is written, only refused what would be.

        Raises:
            RunError: the folder holds a run of other data, or something that is no run; no such label file.
            DatasetError: no dataset in ``data``.
        """
        data = data.resolve()
        if labels is not None:
            labels = labels.resolve()
            if not labels.exists():
                raise RunError(f"{labels} is not there; give --labels the file or folder with the labels")
        if (folder / "run.json").exists():
            old = cls.open(folder)
            if old.data != data:
                raise RunError(f"{folder} is a run on {old.data}, not on {data}; choose another --out")
            return cls(folder, recipe, data, labels or old.labels)  # saved when a stage begins: it may be refused
        if folder.is_symlink() and not folder.exists():
            raise RunError(f"{folder} is a link to {folder.readlink()}, which is not there; make or mount it first")
        if folder.exists() and any(folder.iterdir()):
            raise RunError(f"{folder} is not empty and no run; choose another --out")
        run = cls(folder, recipe, data, labels)
        run.source()  # before there is a folder that is bound to a mistyped dataset
        if write:
            run.save()
        return run

    @classmethod
    def open(cls, folder: Path, overrides: Sequence[str] = ()) -> "Run":
        """The run in ``folder``; ``overrides`` (section.key=value) change its recipe once a stage begins with them.

        Raises:
            RunError: no run there, or a damaged one.
            RecipeError: an override that does not fit.
        """
        try:
            facts = json.loads((folder / "run.json").read_text("utf-8"))
            values = yaml.safe_load((folder / "recipe.yaml").read_text("utf-8"))
            data, labels = Path(facts["data"]), facts["labels"]
        except (FileNotFoundError, NotADirectoryError):
            remedy = f"`tsvad fit DATA --recipe NAME --out {typed(folder)}` makes one"
            raise RunError(f"{folder} is no run; {remedy}") from None
        except (ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            why = f"run.json or recipe.yaml is damaged ({error})"
            raise RunError(f"{folder}/{why}; fit again into a new folder") from None
        recipe = parse_recipe(values, str(folder / "recipe.yaml"))
        if overrides:
            recipe = override_recipe(recipe, overrides)
        return cls(folder, recipe, data, None if labels is None else Path(labels))

    def save(self) -> None:
        """Writes ``run.json`` and ``recipe.yaml``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "recipe.yaml", self.recipe.to_yaml())
        facts = {"data": str(self.data), "labels": None if self.labels is None else str(self.labels)}
        write_text(self.folder / "run.json", json.dumps(facts, indent=1) + "\n")

    def source(self) -> Dataset:
        """The dataset as it lies on the disk."""
        return find_dataset(self.data, self.recipe.layout).at_rate(self.recipe.rate)

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset with its frames ready to be read."""
        return read_prepared(self.path("frames"))

    @cached_property
    def prepared(self) -> dict[str, dict[str, Prepared]]:
        """Frame count and size of every video, by split and name."""
        return read_manifest(self.path("frames")).by_split()

    def notes(self) -> list[str]:
        """What was left out of the data, and what was done to its videos that their owner should know; a line each."""
        entries = read_manifest(self.path("frames")).entries.values()
        return [*self.source().left_out, *(note for entry in entries for note in entry.notes)]

    @property
    def goes_on(self) -> str:
        """How a fit that was stopped goes on, for errors."""
        return f"`tsvad fit {typed(self.data)} --out {typed(self.folder)}` goes on"

    def path(self, name: str) -> Path:
        """A file or folder of the run."""
        return self.folder / name

    def records(self) -> Records:
        """Of every stage begun: identity, settings, done, seconds over all attempts. RunError where it is damaged."""
        try:
            records: Records = json.loads(self.path(RECORDS).read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise RunError(f"{self.path(RECORDS)} is damaged ({error}); delete it and use --redo") from None
        return records

    def identity(self, name: str) -> str:
        """Hash of a stage's settings and of the stages that it stands on, as recorded."""
        records = self.records()
        if name not in records:
            raise RunError(f"{self.folder}: `tsvad {STAGES[name].command} {typed(self.folder)}` has not been run yet")
        return str(records[name]["identity"])

    def is_done(self, name: str) -> bool:
        """Whether the stage, and every one that it stands on, has ended with the present settings."""
        record = self.records().get(name)
        if not record or not record["done"] or self.is_stale(name):
            return False
        return all(self.is_done(earlier) for earlier in STAGES[name].after(self.recipe))

    def is_stale(self, name: str) -> bool:
        """Whether the stage's outputs come of other settings than the present ones."""
        record = self.records().get(name)
        return record is not None and record["identity"] != self._expected(name)[0]

    def refuse_stale(self, *names: str) -> None:
        """Raises RunError where one of these stages, or any if none is named, `is_stale`; says what changed."""
        for name in filter(self.is_stale, names or STAGES):
            old, new = self.records()[name]["settings"], self._expected(name)[1]
            changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
            why = ", ".join(f"{key} {old.get(key)} → {new.get(key)}" for key in changed)
            why = why or "an earlier stage was done anew, or --redo was killed"
            command = STAGES[name].command
            raise RunError(
                f"{self.folder}: `{command}` was run with other settings ({why}); --redo replaces its outputs"
            )

    def check(self, name: str, overrides: Sequence[str] = (), *, redo: bool = False) -> None:
        """Raises what `begin` would with ``overrides``, or RecipeError where one does not fit; writes nothing."""
        Run(self.folder, override_recipe(self.recipe, overrides), self.data, self.labels)._refuse(name, redo=redo)

    def begin(self, name: str, *, redo: bool = False, engine: tuple[str, str] | None = None) -> bool:
        """Starts or resumes a stage; False where it is done already.

        Raises:
            RunError: an earlier stage is not done, or the outputs there come of other settings or of another
                ``engine``, its name and precision; None: whichever it was.
        """
        self._refuse(name, redo=redo)
        record, (identity, settings) = self.records().get(name), self._expected(name)
        before = tuple(record.get("engine", TORCH)) if record and not redo else engine or TORCH
        if engine not in (None, before):
            old, new = " ".join(before), " ".join(engine or ())
            raise RunError(f"{self.folder}: `{STAGES[name].command}` was run by {old}, not {new}; --redo replaces it")
        self.save()
        if redo:
            if record:
                # A kill from here on must leave neither a done stage without outputs nor old ones to go on from.
                self._record(name, {**record, "identity": HALF_DELETED, "done": False})
            self._delete_outputs(name)
        elif record and record["done"]:
            return False
        seconds = 0.0 if redo or not record else record.get("seconds", 0.0)
        begun = {"identity": identity, "settings": settings, "done": False, "began": time.time(), "seconds": seconds}
        begun |= {"engine": before} if STAGES[name].computes else {}
        self._record(name, begun)
        return True

    def end(self, name: str, *, done: bool = True) -> None:
        """Marks a stage as done, or as stopped half-way, and adds the time that it took; a kill's is not known."""
        record = self.records()[name]
        seconds = round(record["seconds"] + time.time() - record["began"], 1)
        self._record(name, {**record, "done": done, "seconds": seconds})

    def _refuse(self, name: str, *, redo: bool) -> None:
        for earlier in STAGES[name].after(self.recipe):
            if not self.is_done(earlier):
                command = f"tsvad {STAGES[earlier].command} {typed(self.folder)}"
                raise RunError(f"{self.folder}: run `{command}` first (or again)")
        if not redo:
            self.refuse_stale(name)

    def _expected(self, name: str) -> tuple[str, dict[str, Any]]:
        """Identity and settings that the stage has if it begins now."""
        stage, records = STAGES[name], self.records()
        settings = dict(stage.reads(self.recipe))
        if name == "prepare":
            settings["data"] = str(self.data)
        below = {earlier: records.get(earlier, {}).get("identity") for earlier in stage.after(self.recipe)}
        text = json.dumps([settings, below], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16], settings

    def _delete_outputs(self, name: str) -> None:
        for output in STAGES[name].outputs:
            path = self.path(output)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _record(self, name: str, record: dict[str, Any]) -> None:
        write_text(self.path(RECORDS), json.dumps({**self.records(), name: record}, indent=1) + "\n")
