"""Which job a process gets: towns first, then scenes of its own, then help."""

from __future__ import annotations

import pytest

from bevdeploy.data.world.recording import Part, parts_of
from bevdeploy.data.world.schedule import Job, next_job

SCENES = (("a", "north"), ("b", "south"), ("c", "north"))
PARTS = parts_of(SCENES, 40)


def test_towns_come_first_and_their_scenes_after_them() -> None:
    waiting: list[Job] = ["south", *PARTS]
    assert next_job(waiting, ["north"], None) == "south"
    assert next_job(PARTS, ["north", "south"], None) is None
    assert next_job(PARTS, ["north"], "south") == Part("b", "south", 0, 4)


def test_a_process_stays_with_its_scene_and_then_near_it() -> None:
    last = Part("a", "north", 0, 4)
    assert next_job(PARTS[1:], [PARTS[10]], last) == PARTS[1]
    assert next_job(PARTS[10:], [], last) == Part("c", "north", 0, 4)
    assert next_job(PARTS[11:20], [PARTS[20]], last) == PARTS[11]


def test_help_is_for_the_longest_scene_and_only_where_it_pays() -> None:
    running = [PARTS[4], PARTS[12]]
    assert next_job([*PARTS[5:10], *PARTS[13:20]], running, PARTS[29]) == PARTS[19]
    assert next_job(PARTS[18:20], [PARTS[17]], PARTS[29]) is None


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_every_job_once_whoever_is_fast(workers: int) -> None:
    """Processes of different speeds: all jobs are done, towns before their parts, few scenes by more than one."""
    waiting: list[Job] = ["north", "south", *PARTS]
    last: list[Job | None] = [None] * workers
    running: dict[int, tuple[int, Job]] = {}
    done: list[Job] = []
    by: dict[str, set[int]] = {}
    for now in range(1000):
        for worker, (until, job) in list(running.items()):
            if until <= now:
                done.append(job)
                last[worker] = running.pop(worker)[1]
        for worker in (k for k in range(workers) if k not in running):
            chosen = next_job(waiting, [each for _, each in running.values()], last[worker])
            if chosen is not None:
                waiting.remove(chosen)
                running[worker] = (now + 3 + worker, chosen)
                if isinstance(chosen, Part):
                    assert chosen.location in done
                    by.setdefault(chosen.scene, set()).add(worker)
        assert running or not waiting
    assert len(done) == len(set(done)) == 32
    if workers <= 2:
        assert sum(len(each) for each in by.values()) <= len(SCENES) + workers - 1
