"""A learning state in files of bounded size."""

import pytest
import torch
from safetensors import safe_open

from lam_train.train import state_files
from lam_train.train.state_files import deal_out, write_tensors

PARTS = ("weight", "exp_avg")
TENSORS = {f"layer{index}": torch.randn(40 + index, 10, generator=torch.manual_seed(index)) for index in range(9)}
LIMIT = 4_000  # bytes: two of those tensors


@pytest.fixture
def small_files(monkeypatch):
    monkeypatch.setattr(state_files, "FILE_BYTES", LIMIT)


def state():
    return (
        (f"{name}.{part}", tensor.double() + (part == "weight")) for name, tensor in TENSORS.items() for part in PARTS
    )


def shapes():
    return {name: tensor.shape for name, tensor in TENSORS.items()}


@pytest.mark.parametrize("ranks", [1, 2, 4, 20])
def test_each_tensor_is_in_one_file_of_one_rank_and_no_file_too_large(small_files, ranks):
    dealt = deal_out(shapes(), PARTS, ranks)
    assert len(dealt) == ranks
    assert sorted(key for mine in dealt for key in mine) == sorted(f"{n}.{p}" for n in TENSORS for p in PARTS)
    assert all(f"state-{rank:05d}-of-{ranks:05d}-" in file for rank, mine in enumerate(dealt) for file in mine.values())
    for mine in dealt:
        for file in set(mine.values()):
            held = [4 * TENSORS[key.rpartition(".")[0]].numel() for key, its in mine.items() if its == file]
            assert sum(held) <= LIMIT
    sizes = [len(mine) for mine in dealt]
    assert max(sizes) - min(sizes) <= len(PARTS)


def test_a_tensor_larger_than_a_file_has_one_of_its_own(small_files):
    (mine,) = deal_out({"small": torch.Size([2]), "large": torch.Size([5_000]), "last": torch.Size([3])}, PARTS, 1)
    alone = [file for file in mine.values() if list(mine.values()).count(file) == 1]
    assert {mine["large.weight"], mine["large.exp_avg"]} == set(alone)
    assert mine["small.weight"] == mine["small.exp_avg"] and mine["last.weight"] == mine["last.exp_avg"]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_ranks_files_hold_its_tensors_and_one_file_is_in_memory_at_a_time(small_files, tmp_path, monkeypatch, rank):
    files, written = deal_out(shapes(), PARTS, 2)[rank], []
    save = state_files.save_file

    def saved(tensors, path):
        written.append((path.name, sum(tensor.nbytes for tensor in tensors.values())))
        save(tensors, path)

    monkeypatch.setattr(state_files, "save_file", saved)
    assert write_tensors(state(), files, tmp_path) is None
    assert [name for name, _ in written] == sorted(set(files.values())) and len(written) > 2
    assert max(size for _, size in written) <= LIMIT
    expected = dict(state())
    for key, file in files.items():
        with safe_open(tmp_path / file, framework="pt") as tensors:
            assert torch.equal(tensors.get_tensor(key), expected[key].float())
    assert {path.name for path in tmp_path.iterdir()} == set(files.values())


def test_behind_a_file_that_cannot_be_written_the_rest_is_gathered_and_not_written(small_files, tmp_path):
    (files,) = deal_out(shapes(), PARTS, 1)
    first, second = sorted(set(files.values()))[:2]
    (tmp_path / second).mkdir()
    tensors = state()
    failure = write_tensors(tensors, files, tmp_path)
    assert failure is not None and next(tensors, None) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [first, second]
