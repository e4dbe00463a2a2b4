"""Steps of a long run, files as well as folders."""

import errno
import logging
import os
import shutil
from pathlib import Path

import pytest

import synfab as sf
from synfab.io.archive import DamagedError
from synfab.io.steps import StepFolder, check_step, require_settings


@pytest.fixture(params=[".npz", ""], ids=["files", "folders"])
def steps(request, tmp_path):
    return StepFolder(tmp_path, "checkpoints", 2, request.param)


def write(steps, *numbers):
    for number in numbers:
        path = steps.path(number)
        if steps.suffix:
            path.write_text("whole")
        else:
            path.mkdir()
            (path / "part").write_text("whole")


def damage(path):
    if path.is_dir():
        shutil.rmtree(path / "part", ignore_errors=True)
        (path / "part").unlink(missing_ok=True)
    else:
        path.write_text("")


def read(path):
    part = path / "part" if path.is_dir() else path
    if not part.exists() or not part.read_text():
        raise DamagedError(f"{path}: cut")
    return path.name


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_undamaged_step_is_read_and_damaged_ones_are_renamed(steps, caplog):
    write(steps, 1, 2, 3)
    damage(steps.path(3))
    with caplog.at_level(logging.WARNING, "synfab.io.steps"):
        assert steps.newest(read) == (2, steps.path(2).name)
    assert f"{steps.path(3)}: damaged; resuming from the checkpoint before it" in caplog.text
    assert names(steps.folder)[2] == f"{steps.path(3).name}.damaged"
    assert steps.steps() == [1, 2]


def test_a_step_that_is_damaged_twice_is_renamed_twice(steps):
    for _ in range(2):
        write(steps, *({1, 2} - set(steps.steps())))
        damage(steps.path(2))
        assert steps.newest(read) == (1, steps.path(1).name)
    assert len(names(steps.folder)) == 3


def test_steps_that_are_all_damaged_are_an_error_and_stay(steps):
    write(steps, 1, 2)
    for step in (1, 2):
        damage(steps.path(step))
    with pytest.raises(sf.FileFormatError, match="all checkpoints are damaged"):
        steps.newest(read)
    assert steps.steps() == [1, 2]


def test_a_folder_without_steps_has_no_newest_one(steps):
    with pytest.raises(sf.FileFormatError, match="holds no checkpoint"):
        steps.newest(read)
    steps.require_empty("resume")
    write(steps, 1)
    with pytest.raises(sf.InvalidValueError, match=r"^checkpoints: .* already holds checkpoints"):
        steps.require_empty("resume")


def test_the_oldest_steps_up_to_the_written_one_are_removed(steps):
    write(steps, 1, 2, 3, 9)
    steps.prune(3)
    assert steps.steps() == [2, 3, 9]


def test_steps_of_the_other_kind_do_not_count(steps):
    other = StepFolder(steps.folder, "checkpoints", 2, "" if steps.suffix else ".npz")
    write(other, 4)
    assert steps.steps() == []


def test_what_a_killed_process_left_is_removed(steps):
    left = steps.path(3).with_name(f".{steps.path(3).name}.{'0a' * 16}")
    if steps.suffix:
        left.write_text("half")
    else:
        left.mkdir()
    (steps.folder / ".step-000000000003.notes").mkdir()
    with steps.held():
        assert names(steps.folder) == [".step-000000000003.notes", ".synfab-lock"]
        with (
            pytest.raises(sf.InvalidValueError, match=r"^checkpoints: .* another process"),
            steps.held(),
        ):
            pass


def test_a_name_must_state_the_step_in_the_content(steps):
    check_step(steps.path(3), 3)
    with pytest.raises(sf.FileFormatError, match=r"step: the file name states 3, the content 4$"):
        check_step(steps.path(3), 4)


def test_the_first_other_setting_is_named(tmp_path):
    require_settings(tmp_path, {"a": 1}, {"a": 1})
    for written, given, message in (
        ({"a": 1}, {"a": 2}, "^a: .* was written with 1, found 2$"),
        ({"a": 1, "b": 2}, {"a": 1}, "^b: .* was written with 2, found None$"),
        ({"a": "f" * 64}, {"a": "e" * 64}, "^a: .* with 'ffffffff…, found 'eeeeeeee…$"),
    ):
        with pytest.raises(sf.InvalidValueError, match=message):
            require_settings(tmp_path, written, given)


def test_what_is_no_step_is_left_alone(steps):
    """Backups, temporary files of other programs, and digits of other scripts."""
    write(steps, 1)
    apart = [
        f".step-000000000001{steps.suffix}.bak", f".step-000000000001{steps.suffix}.Xa81bQ",
        f"step-{chr(0x660) * 11}{chr(0x669)}{steps.suffix}",
    ]  # fmt: skip
    for name in apart:
        (steps.folder / name).write_text("mine")
    with steps.held():
        assert steps.newest(read) == (1, steps.path(1).name)
    assert set(apart) < set(names(steps.folder))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_and_a_lost_link_are_no_files(tmp_path, caplog):
    steps = StepFolder(tmp_path, "checkpoints", None, ".npz")
    write(steps, 1)
    os.mkfifo(steps.path(2))
    steps.path(3).symlink_to(tmp_path / "lost")
    assert steps.newest(read) == (1, steps.path(1).name)
    assert steps.steps() == [1]


def test_an_error_of_the_system_is_not_taken_for_damage(tmp_path, monkeypatch):
    """A network disk that fails once: the newest step is still there afterwards."""
    folder = tmp_path / "run"
    with sf.Checkpoints(folder).open({}) as run:
        for step in (1, 2):
            run.save(step, {"value": step})
    opened = Path.open

    def failing(path, *arguments, **options):
        if path.name == "step-000000000002.npz":
            raise OSError(errno.EIO, "Input/output error")
        return opened(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing)
        with (
            pytest.raises(sf.FileFormatError, match="cannot read: Input/output error"),
            sf.Checkpoints(folder, resume=True).open({}),
        ):
            pass
    with sf.Checkpoints(folder, resume=True).open({}) as run:
        assert run.step == 2
