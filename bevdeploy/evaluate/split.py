"""Samples of a split, and the devkit's manners: what it prints, warns and raises."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bevdeploy.errors import DataSetError, MissingDependencyError

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes


@contextlib.contextmanager
def devkit(database: NuScenes) -> Iterator[None]:
    """Runs devkit code without its progress bars and warnings, and turns what it raises into ours.

    Its warnings are those of its plotting and table libraries about their own future.

    Raises:
        DataSetError: a table row is missing or damaged.
        MissingDependencyError: a library that the devkit needs is absent.
    """
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except ImportError as error:
        raise MissingDependencyError(
            f"scoring boxes needs nuscenes-devkit ({error}): pip install 'bevdeploy[nuscenes]'"
        ) from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
        raise DataSetError(
            f"{database.table_root}: nuscenes-devkit cannot score it ({type(error).__name__}: {error}); "
            "unpack the metadata archive of the data set again"
        ) from error


def tokens_of_split(database: NuScenes, split: str | None) -> tuple[str, ...]:
    """Sample tokens of a split, in the order of the tables.

    Args:
        database: the devkit's tables.
        split: one of the devkit's (`val`, `mini_val`, ...) or of the root's `splits.json`; None for all samples.

    Raises:
        DataSetError: the split is unknown or has no sample in these tables.
    """
    if split is None:
        return tuple(row["token"] for row in database.sample)
    with devkit(database):
        from nuscenes.utils.splits import create_splits_scenes, get_scenes_of_custom_split

        known = create_splits_scenes()
        try:
            scenes = known[split] if split in known else get_scenes_of_custom_split(split, database)
        except ValueError as error:
            raise DataSetError(
                f"{database.table_root}: unknown split {split!r} ({error}); there is {', '.join(known)}"
            ) from error
        names = {row["token"]: row["name"] for row in database.scene}
        tokens = tuple(row["token"] for row in database.sample if names[row["scene_token"]] in set(scenes))
    if not tokens:
        raise DataSetError(f"{database.table_root}: no sample of the split {split!r} in these tables; name another")
    return tokens


def missing_libraries(*names: str) -> list[str]:
    """Those of the import names that are not installed."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def blank(cls: Any, **attributes: Any) -> Any:
    """An instance of a devkit evaluator whose constructor is passed over.

    The constructors of `DetectionEval` and `TrackingEval` only take a file, a folder to make and a whole split; what
    they would have filled in is given here, by the devkit's own loaders.
    """
    made = cls.__new__(cls)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made
