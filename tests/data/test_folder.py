import threading

import pytest

from gradflip import FileError
from gradflip.data import data_folder, load_data, user_folder
from gradflip.sweep import Cell, Context, Measure, RunFolder, run_cells

NOT_CHOSEN = r"^fashion-mnist is read from a folder, not downloaded"
CELLS = [Cell(Measure("sweep_measures:counts_images"), {"data": "fashion-mnist"}, seed) for seed in range(2)]

pytestmark = pytest.mark.usefixtures("no_environment")


def count():
    return len(load_data("fashion-mnist").y_test)


def test_inside_a_data_folder_data_are_read_from_there(fashion_folder):
    with data_folder(fashion_folder.parent):
        assert count() == 2000
    with pytest.raises(FileError, match=NOT_CHOSEN):
        load_data("fashion-mnist")


def test_an_argument_goes_before_the_data_folder_which_goes_before_the_users_setting(
    tmp_path, fashion_folder, monkeypatch
):
    monkeypatch.setenv("GRADFLIP_DATA", str(fashion_folder))
    assert user_folder() == str(fashion_folder)
    with data_folder(tmp_path):
        with pytest.raises(FileError, match=f"is missing in the folder {tmp_path};"):
            load_data("fashion-mnist")
        assert len(load_data("fashion-mnist", data_dir=fashion_folder).y_test) == 2000
        with data_folder(fashion_folder):
            assert count() == 2000
    assert count() == 2000


def test_the_folder_is_left_after_an_error(tmp_path):
    with pytest.raises(KeyError), data_folder(tmp_path):
        raise KeyError
    with pytest.raises(FileError, match=NOT_CHOSEN):
        load_data("fashion-mnist")


def test_another_thread_is_not_affected(fashion_folder):
    failures = []

    def read():
        try:
            load_data("fashion-mnist")
        except FileError as error:
            failures.append(str(error))

    with data_folder(fashion_folder):
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    assert len(failures) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_takes_the_folder_to_its_workers(workers, tmp_path, fashion_folder):
    folder = RunFolder.create(tmp_path / "run", {"test": True})
    context = Context("gradflip.data:data_folder", (str(fashion_folder),))
    summary = run_cells(CELLS, folder, workers=workers, context=context)
    assert (summary.done, summary.failed) == (2, ())
    assert [result.rows for result in folder.results()] == [[{"images": 2000}]] * 2
    assert len(run_cells([Cell(CELLS[0].measure, {**CELLS[0].parameters, "x": 0}, 0)], folder).failed) == 1


def test_the_folder_is_not_part_of_a_cell(tmp_path, fashion_folder):
    folder = RunFolder.create(tmp_path / "run", {"test": True})
    run_cells(CELLS, folder, context=Context("gradflip.data:data_folder", (str(fashion_folder),)))
    assert run_cells(CELLS, folder, context=Context("gradflip.data:data_folder", ("elsewhere",))).skipped == 2
    assert all(str(fashion_folder) not in path.read_text() for path in folder.cells_dir.iterdir())
