"""Images of one's own, in folders, files, functions and libraries: what they become, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from ch6dist.catalog import own_data
from ch6dist.catalog.data_keys import adopt_data, source_of
from ch6dist.catalog.own_data import Source, prepared
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.data import prepare, prepare_code
from ch6dist.data.images import load_split, load_test
from ch6dist.data.names import names_of
from ch6dist.errors import InputError, UsageError
from ch6dist.runs.ledger import read
from ch6dist.seeding import generator
from ch6dist.trial_sections import check_images

torch.set_num_threads(1)

SHAPE = (9, 7)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own_data.forget()
    yield
    own_data.forget()


def image(number: int, *, shape: tuple[int, int] = SHAPE, grey: bool = False) -> Image.Image:
    pixels = np.random.default_rng(number).integers(256, size=shape if grey else (*shape, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def folder(root: Path, counts: Mapping[str, int], **options: Any) -> Path:
    """Make a folder with so many images in each of its folders, such as train/rose."""
    for place, count in counts.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image(1000 * sum(place.encode()) + number, **options).save(root / place / f"{number:03}.png")
    return root


def flowers(root: Path, **options: Any) -> Path:
    return folder(root, {"train/rose": 6, "train/tulip": 5, "test/rose": 2, "test/tulip": 3}, **options)


def trial(**data: Any) -> TrialConfig:
    own_data.forget()
    return parse_trial({"data": {"batch_size": 4, **data}, "model": "simple_nn", "epochs": 1})


def asked(tmp_path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the subprocess is asked: most tests of what it refuses call its function."""
    made = tmp_path / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    source = source_of(given)
    assert source is not None
    return {**asdict(source), "folder": str(made), "download": False}


def pixels(path: Path, mode: str = "RGB") -> torch.Tensor:
    array = np.asarray(Image.open(path).convert(mode))
    return torch.from_numpy(array.transpose(2, 0, 1).copy() if mode == "RGB" else array[None].copy())


def all_images(found: TrialConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """The training images in the order of their files."""
    data = load_split(found.data, device="cpu")
    order = np.argsort(_order(found))
    images, labels = torch.cat([data.val_images, data.train_images]), torch.cat([data.val_labels, data.train_labels])
    return images[order], labels[order]


def _order(found: TrialConfig) -> np.ndarray:
    return torch.randperm(found.data.entry.train_images, generator=generator(found.data.seed, "split")).numpy()


# Folders


def test_a_folder_is_what_pil_reads_with_the_classes_in_alphabetical_order(tmp_path):
    root = flowers(tmp_path / "flowers")
    found = trial(folder=str(root), val_size=3)
    images, labels = all_images(found)
    files = sorted((root / "train").rglob("*.png"))
    assert torch.equal(images, torch.stack([pixels(file) for file in files]))
    assert labels.tolist() == [0] * 6 + [1] * 5
    tested, test_labels = load_test(found.data, device="cpu")
    assert torch.equal(tested, torch.stack([pixels(file) for file in sorted((root / "test").rglob("*.png"))]))
    assert test_labels.tolist() == [0, 0, 1, 1, 1]
    theirs = torchvision.datasets.ImageFolder(str(root / "train"))
    assert names_of(found.data).classes == tuple(theirs.classes) == ("rose", "tulip")
    assert [label for _, label in theirs.samples] == labels.tolist()
    assert (found.data.augment, found.data.name) == ("none", "folder/flowers")


@pytest.mark.parametrize(("grey", "channels"), [((True, True), 1), ((False, True), 3), ((True, False), 3)])
def test_images_are_grey_where_all_of_them_are(grey, channels, tmp_path):
    for name, is_grey in zip(("a", "b"), grey, strict=True):
        folder(tmp_path / "mixed", {f"train/{name}": 3}, grey=is_grey)
    found = trial(folder=str(tmp_path / "mixed"))
    images, _ = all_images(found)
    mode = "L" if channels == 1 else "RGB"
    assert torch.equal(images, torch.stack([pixels(f, mode) for f in sorted((tmp_path / "mixed").rglob("*.png"))]))


def test_a_coloured_image_behind_a_grey_one_of_its_class_makes_all_of_them_coloured(tmp_path):
    root = folder(tmp_path / "mixed", {"train/a": 3, "train/b": 3}, grey=True)
    image(1).save(root / "train/a/900.png")
    assert trial(folder=str(root)).data.entry.channels == 3
    assert trial(folder=str(root), channels=1).data.entry.channels == 1


def test_a_size_resizes_every_image_with_antialiasing(tmp_path):
    root = folder(tmp_path / "sizes", {"train/a": 2, "train/b": 2}, shape=(40, 30))
    image(5, shape=(64, 20)).save(root / "train/b/900.png")
    found = trial(folder=str(root), size=[8, 6])
    images, _ = all_images(found)
    files = sorted(root.rglob("*.png"))
    expected = [Image.open(file).resize((6, 8), Image.Resampling.BILINEAR) for file in files]
    assert torch.equal(images, torch.stack([torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in expected]))
    resize = torchvision.transforms.functional.resize
    for ours, file in zip(images, files, strict=True):
        assert torch.equal(ours, resize(pixels(file), [8, 6], antialias=True)) or (
            (ours.int() - resize(pixels(file), [8, 6], antialias=True).int()).abs().max() <= 1
        )
    assert trial(folder=str(root), size=8).data.size == [8, 8]


def test_many_images_are_decoded_by_several_processes_in_the_order_of_their_files(tmp_path):
    root = folder(tmp_path / "many", {"train/a": 150, "train/b": 150, "train/c": 7}, shape=(4, 3))
    images, labels = all_images(trial(folder=str(root)))
    assert torch.equal(images, torch.stack([pixels(file) for file in sorted(root.rglob("*.png"))]))
    assert torch.bincount(labels).tolist() == [150, 150, 7]


def test_without_a_test_folder_a_tenth_of_each_class_is_the_test_set_whatever_the_seed(tmp_path):
    root = folder(tmp_path / "all", {"a": 40, "b": 25, "train": 12})
    found, other = trial(folder=str(root)), trial(folder=str(root), seed=1)
    assert (found.data.entry.train_images, found.data.entry.test_images) == (36 + 23 + 11, 4 + 2 + 1)
    assert torch.equal(load_test(found.data, device="cpu")[0], load_test(other.data, device="cpu")[0])
    tested = {one.numpy().tobytes() for one in load_test(found.data, device="cpu")[0]}
    trained = {one.numpy().tobytes() for one in all_images(found)[0]}
    assert len(tested) + len(trained) == 40 + 25 + 12
    assert not tested & trained


def test_val_is_tested_on_unless_there_is_test(tmp_path):
    root = folder(tmp_path / "parts", {"train/a": 3, "train/b": 3, "val/a": 2, "val/b": 1})
    assert trial(folder=str(root)).data.entry.test_images == 3
    folder(root, {"test/a": 2})
    entry = trial(folder=str(root)).data.entry
    assert (entry.train_images, entry.test_images) == (9, 2)


def test_a_folder_is_read_once_until_a_file_of_it_changes(tmp_path, monkeypatch):
    root = flowers(tmp_path / "flowers")
    first = trial(folder=str(root))
    ran = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: ran.append(a) or run(*a, **k))
    assert trial(folder=str(root)) == first
    load_split(first.data, device="cpu")
    assert not ran, "the cache has it"
    moved = shutil.copytree(root, tmp_path / "elsewhere" / "flowers")
    assert trial(folder=str(moved)).trial_id == first.trial_id, "where it lies is no part of a trial"
    ids = {first.trial_id}
    for change in (
        lambda: image(77).save(root / "train/rose/000.png"),
        lambda: image(78).save(root / "train/rose/new.png"),
        lambda: (root / "train/rose/new.png").rename(root / "train/tulip/new.png"),
        lambda: (root / "test/rose/000.png").unlink(),
    ):
        change()
        ids.add(trial(folder=str(root)).trial_id)
    assert len(ids) == 5, "each of them another trial"
    assert trial(folder=str(root), size=5).trial_id not in ids


def test_lost_images_of_the_cache_are_decoded_again_and_changed_ones_refused(tmp_path):
    root = flowers(tmp_path / "flowers")
    found = trial(folder=str(root))
    assert found.data.source is not None
    assert found.data.found is not None
    place = prepared(found.data.source, own_data.Found(**found.data.found))
    before = load_test(found.data, device="cpu")[0]
    shutil.rmtree(place)
    assert torch.equal(load_test(found.data, device="cpu")[0], before)
    shutil.rmtree(place)
    image(77).save(root / "test/rose/000.png")
    with pytest.raises(UsageError, match="folder/flowers is not what it was"):
        load_test(found.data, device="cpu")
    shutil.rmtree(root)
    with pytest.raises(UsageError, match=r"cannot be read on this host.*same path"):
        load_test(found.data, device="cpu")


def test_what_is_recorded_is_read_without_the_images(tmp_path, monkeypatch):
    root = flowers(tmp_path / "flowers")
    recorded = trial(folder=str(root)).model_dump()
    shutil.rmtree(tmp_path / "cache")
    shutil.rmtree(root)
    monkeypatch.setattr(subprocess, "run", None)
    own_data.forget()
    again = parse_trial(recorded)
    assert again.model_dump() == recorded
    assert again.data.entry.classes == 2


def test_a_run_that_has_been_read_says_what_its_images_were(tmp_path):
    root = flowers(tmp_path / "flowers")
    recorded = trial(folder=str(root))
    image(77).save(root / "train/rose/000.png")
    own_data.forget()
    adopt_data(recorded.model_dump()["data"])
    given = {"data": {"batch_size": 4, "folder": str(root)}, "model": "simple_nn", "epochs": 1}
    assert parse_trial(given).trial_id == recorded.trial_id, "the sweep of a run, expanded again, has its trials"
    with pytest.raises(UsageError, match="is not what it was"):
        check_images(recorded.data, test=False)
    for strange in ({}, {"found": 3}, {"found": {"content": "x"}, "folder": 7}, {"name": "gone", "found": None}):
        adopt_data(strange)


def test_a_plan_knows_a_folder_without_torch(tmp_path):
    root = flowers(tmp_path / "flowers")
    program = (
        "import sys\nfrom ch6dist.config import parse_trial\n"
        f"print(parse_trial({{'data': {{'folder': {str(root)!r}}}}}).data.train_size, 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "10 False\n"


def broken(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def cut(root: Path, name: str = "train/rose/000.png") -> Path:
    content = (root / name).read_bytes()
    broken(root / name, content[: len(content) // 2])
    return root


BAD_FOLDERS = {
    "missing": (lambda root: root / "nowhere", "folder", "that is there"),
    "empty": (lambda root: broken(root / "note.txt", b"").parent, "folder", "at least two"),
    "one class": (lambda root: folder(root, {"train/rose": 3}), "folder", "at least two in train/"),
    "a class without images": (
        lambda root: broken(flowers(root) / "train/lily/note.txt", b"").parents[2],
        "folder",
        "these have none: train/lily",
    ),
    "a class of the test set alone": (
        lambda root: folder(flowers(root), {"test/lily": 1}),
        "folder",
        "none called lily",
    ),
    "cut": (lambda root: cut(flowers(root)), "folder", "skip_damaged: true; damaged: train/rose/000.png"),
    "no image": (
        lambda root: broken(flowers(root) / "test/rose/x.jpg", b"<html>").parents[2],
        "folder",
        "damaged: test/rose/x.jpg",
    ),
    "sizes": (
        lambda root: folder(flowers(root), {"train/tulip": 1}, shape=(5, 6)),
        "size",
        "the images differ, 9×7 and 5×6 (train/tulip/000.png)",
    ),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(name, tmp_path):
    make, key, word = BAD_FOLDERS[name]
    root = make(tmp_path / "images")
    with pytest.raises(InputError) as caught:
        prepare.prepare(asked(tmp_path, {"folder": str(root)}))
    assert caught.value.key == key
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    if key == "folder":
        assert str(root) == caught.value.value


def test_images_of_16_bits_are_refused_by_name(tmp_path):
    root = folder(tmp_path / "deep", {"train/a": 1, "train/b": 1}, grey=True)
    Image.fromarray(np.full(SHAPE, 40_000, dtype=np.uint16)).save(root / "train/a/900.png")
    with pytest.raises(InputError, match=r"8 bits per channel.*train/a/900.png"):
        prepare.prepare(asked(tmp_path, {"folder": str(root)}))


def test_damaged_images_are_left_out_by_choice(tmp_path, capsys):
    root = cut(flowers(tmp_path / "flowers"))
    made = asked(tmp_path, {"folder": str(root), "skip_damaged": True})
    assert prepare.prepare(made)["found"]["train_images"] == 10
    assert "left out, damaged: train/rose/000.png" in capsys.readouterr().err
    images = np.load(Path(made["folder"], "train_images.npy"))
    files = sorted((root / "train").rglob("*.png"))[1:]
    assert torch.equal(torch.from_numpy(images), torch.stack([pixels(file) for file in files]))
    for number in range(1, 6):
        cut(root, f"train/rose/{number:03}.png")
    with pytest.raises(InputError, match="these have none"):
        prepare.prepare(made)


def test_memory_is_said_before_it_is_taken_and_progress_after(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(prepare, "SAID_FROM", 5)
    monkeypatch.setitem(prepare.SECONDS, False, 0.0)
    prepare.prepare(asked(tmp_path, {"folder": str(flowers(tmp_path / "flowers", shape=(300, 200)))}))
    first, second, *_ = capfd.readouterr().err.splitlines()
    assert first.endswith("flowers: 16 images of 3 × 300 × 200, 3 MB of memory")
    assert second.startswith("read 16 of 16 images")


# Arrays


def arrays(**changes: Any) -> dict[str, Any]:
    source = np.random.default_rng(0)
    content = {
        "images": source.integers(256, size=(12, 3, 8, 6), dtype=np.uint8),
        "labels": np.arange(12) % 3,
        "test_images": source.integers(256, size=(5, 3, 8, 6), dtype=np.uint8),
        "test_labels": np.arange(5) % 3,
    }
    return {key: value for key, value in {**content, **changes}.items() if value is not None}


@pytest.mark.parametrize("last", [False, True])
def test_an_npz_file_is_what_it_holds_channels_first_or_last(last, tmp_path):
    content = arrays(class_names=np.array(["x", "y", "z"]))
    axes = (0, 2, 3, 1) if last else (0, 1, 2, 3)
    images = {key: content[key].transpose(axes) for key in ("images", "test_images")}
    np.savez_compressed(tmp_path / "digits.npz", **{**content, **images})
    found = trial(npz=str(tmp_path / "digits.npz"))
    got, labels = all_images(found)
    assert torch.equal(got, torch.from_numpy(content["images"]))
    assert labels.tolist() == content["labels"].tolist()
    assert torch.equal(load_test(found.data, device="cpu")[0], torch.from_numpy(content["test_images"]))
    assert names_of(found.data).classes == ("x", "y", "z")
    assert found.data.name == "npz/digits"


BAD_ARRAYS = {
    "dtype": ({"images": np.zeros((12, 3, 8, 6))}, "these are float64"),
    "shape": ({"images": np.zeros((12, 5, 8, 6), np.uint8)}, "these are [12, 5, 8, 6]"),
    "flat": ({"images": np.zeros((12, 144), np.uint8)}, "these are [12, 144]"),
    "none": ({"images": np.zeros((0, 3, 8, 6), np.uint8)}, "these are [0, 3, 8, 6]"),
    "labels too few": ({"labels": np.arange(11) % 3}, "these are [11]"),
    "labels one-hot": ({"labels": np.eye(3)[np.arange(12) % 3]}, "these are [12, 3]"),
    "labels real": ({"labels": np.arange(12) / 4}, "these are float64"),
    "labels negative": ({"labels": np.arange(12) % 3 - 1}, "the least is -1"),
    "labels beyond": ({"class_names": np.array(["x", "y"])}, "labels below 2"),
    "test labels beyond": ({"test_labels": np.arange(5)}, "test_labels below 3"),
    "a class without images": ({"labels": np.arange(12) % 3 * 2, "test_labels": np.zeros(5, int)}, "none: 1, 3"),
    "one class": ({"labels": np.zeros(12, int), "test_labels": np.zeros(5, int)}, "at least two classes"),
    "no labels": ({"labels": None}, "an array called labels"),
    "half a test set": ({"test_labels": None}, "an array called test_labels"),
    "test of another shape": ({"test_images": np.zeros((5, 3, 8, 7), np.uint8)}, "test images of the shape"),
    "objects": ({"labels": np.array([{}] * 12, dtype=object)}, "numpy.savez"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_arrays_that_cannot_be_used_are_refused_in_one_line(name, tmp_path):
    changes, word = BAD_ARRAYS[name]
    np.savez(tmp_path / "digits.npz", **arrays(**changes))
    with pytest.raises(InputError) as caught:
        prepare.prepare(asked(tmp_path, {"npz": str(tmp_path / "digits.npz")}))
    assert caught.value.key == "npz"
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_none_of_numpys_is_refused(content, tmp_path):
    broken(tmp_path / "digits.npz", content)
    with pytest.raises(InputError, match=r"numpy\.savez") as caught:
        prepare.prepare(asked(tmp_path, {"npz": str(tmp_path / "digits.npz")}))
    assert "\n" not in str(caught.value)


def test_a_data_set_without_test_images_is_trained_and_never_tested(tmp_path):
    np.savez(tmp_path / "digits.npz", **arrays(test_images=None, test_labels=None))
    found = trial(npz=str(tmp_path / "digits.npz"))
    assert found.data.entry.test_images == 0
    with pytest.raises(InputError, match=r"evaluate_test: True is not allowed.*has no test images"):
        parse_trial({**found.model_dump(), "evaluate_test": True})


# Keys


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"size": 32}, "data.size"),
        ({"name": "mnist", "channels": 1}, "data.channels"),
        ({"skip_damaged": True}, "data.skip_damaged"),
        ({"folder": "a", "npz": "b"}, "data.npz"),
        ({"folder": 3}, "data.folder"),
        ({"folder": ""}, "data.folder"),
        ({"folder": "FLOWERS", "size": [3]}, "data.size"),
        ({"folder": "FLOWERS", "size": 0}, "data.size"),
        ({"folder": "FLOWERS", "size": "big"}, "data.size"),
        ({"folder": "FLOWERS", "channels": 2}, "data.channels"),
        ({"folder": "FLOWERS", "channels": "many"}, "data.channels"),
        ({"folder": "FLOWERS", "skip_damaged": "maybe"}, "data.skip_damaged"),
        ({"folder": "FLOWERS", "name": "mnist"}, "data.name"),
        ({"folder": "FLOWERS", "val_size": 11}, "data.val_size"),
        ({"folder": "FLOWERS", "train_size": 12}, "data.train_size"),
        ({"npz": "nowhere.npz"}, "data.npz"),
        ({"npz": "nowhere.npz", "size": 3}, "data.size"),
        ({"name": "torchvison/MNIST"}, "data.name"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(data, key, tmp_path):
    if data.get("folder") == "FLOWERS":
        data = {**data, "folder": str(flowers(tmp_path / "flowers"))}
    with pytest.raises(InputError) as caught:
        trial(**data)
    assert caught.value.key == key
    assert "\n" not in str(caught.value)


def test_a_trial_without_images_of_its_own_is_recorded_as_before():
    assert set(parse_trial({}).model_dump()["data"]) == {
        *("name", "root", "train_size", "val_size", "augment", "batch_size", "seed")
    }


# Code

GOOD = "import numpy as np\ndef load(split):\n    n = {'train': 12, 'test': 5}[split]\n"
RANDOM = (
    GOOD + "    return np.random.default_rng(n).integers(256, size=(n, 3, 8, 6), dtype=np.uint8), np.arange(n) % 3\n"
)


def test_a_function_of_ones_own_is_called_once_for_each_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mydata.py").write_text(RANDOM + "print('noise')\nopen('calls', 'a').write('x')\n")
    found = trial(name="mydata:load")
    images, labels = all_images(found)
    expected = np.random.default_rng(12).integers(256, size=(12, 3, 8, 6), dtype=np.uint8)
    assert torch.equal(images, torch.from_numpy(expected))
    assert labels.tolist() == [*range(3)] * 4
    assert trial(name="mydata:load") == found
    assert Path("calls").read_text() == "x", "imported once"
    assert found.data.found is not None
    assert len(found.data.found["code"]) == 12
    (tmp_path / "mydata.py").write_text(RANDOM.replace("default_rng(n)", "default_rng(n + 1)"))
    assert trial(name="mydata:load").trial_id != found.trial_id


BAD_CODE = {
    "raises": ("def load(split):\n    raise RuntimeError('no disk')\n", "no disk (bad_raises.py:2 in load)"),
    "no function": ("load = 3\n", "of type int"),
    "no pair": ("def load(split):\n    return 1, 2, 3\n", "returns tuple of 3"),
    "nothing": ("def load(split):\n    return None\n", "returns NoneType"),
    "no argument": ("def load():\n    return 1\n", "unexpected keyword argument 'split'"),
    "floats": (GOOD + "    return np.zeros((n, 3, 8, 6)), np.arange(n) % 3\n", "float64"),
    "missing": ("", "load"),
}


@pytest.mark.parametrize("name", BAD_CODE)
def test_code_that_cannot_be_used_is_refused_in_one_line(name, tmp_path, monkeypatch):
    text, word = BAD_CODE[name]
    module = f"bad_{name.replace(' ', '_')}"
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{module}.py").write_text(text)
    with pytest.raises(InputError) as caught:
        prepare_code.prepare(asked(tmp_path, {"name": f"{module}:load"}))
    assert caught.value.key == "name"
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


# Libraries


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(head + array.tobytes())


def test_a_data_set_of_torchvision_is_what_torchvision_reads(tmp_path):
    source, raw = np.random.default_rng(0), tmp_path / "data/KMNIST/raw"
    for prefix, count in (("train", 30), ("t10k", 10)):
        write_idx(raw / f"{prefix}-images-idx3-ubyte", source.integers(256, size=(count, 28, 28), dtype=np.uint8))
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    made = asked(tmp_path, {"name": "torchvision/KMNIST", "root": str(tmp_path / "data")})
    found = prepare_code.prepare(made)["found"]
    theirs = torchvision.datasets.KMNIST(tmp_path / "data", train=False)
    assert np.array_equal(np.load(Path(made["folder"], "test_images.npy"))[:, 0], theirs.data.numpy())
    assert (found["channels"], found["train_images"], found["classes"]) == (1, 30, 10)


@pytest.mark.parametrize(
    ("name", "kind", "word"),
    [
        ("torchvision/SVHN", UsageError, "`ch6dist data torchvision/SVHN` downloads it"),
        ("torchvision/SVH", InputError, "did you mean 'torchvision/SVHN'"),
        ("torchvision/Nothing", InputError, "that torchvision has"),
    ],
)
def test_what_a_library_has_not_is_said_in_one_line(name, kind, word, tmp_path):
    with pytest.raises(kind, match=word) as caught:
        prepare_code.prepare(asked(tmp_path, {"name": name, "root": str(tmp_path)}))
    assert "\n" not in str(caught.value)


class ClassLabel:
    names = ("x", "y")


class Rows(list):
    features: ClassVar[dict[str, object]] = {"id": 0, "picture": type("Image", (), {})(), "kind": ClassLabel()}


def test_a_data_set_of_the_hub_is_read_by_the_types_of_its_columns(tmp_path, monkeypatch):
    """With a stand-in of the package's one function, where the package is not installed."""
    rows = {part: Rows({"picture": image(n), "kind": n % 2} for n in range(4)) for part in ("train", "validation")}
    stand_in = ModuleType("datasets")
    stand_in.load_dataset = lambda name: {"user/beans": rows}[name]
    monkeypatch.setitem(sys.modules, "datasets", stand_in)
    made = asked(tmp_path, {"name": "hf/user/beans"})
    found = prepare_code.prepare(made)["found"]
    assert (found["train_images"], found["test_images"], found["classes"]) == (4, 4, 2)
    assert np.array_equal(np.load(Path(made["folder"], "train_images.npy"))[1], np.asarray(image(1)).transpose(2, 0, 1))
    with pytest.raises(UsageError, match="`ch6dist data hf/other` downloads it"):
        prepare_code.prepare(asked(tmp_path, {"name": "hf/other"}))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match="pip install datasets"):
        prepare_code.prepare(made)


# The commands


def command(*words: str) -> tuple[int, str]:
    """Run `ch6dist`; return its exit status and what it said on stderr."""
    done = subprocess.run([sys.executable, "-m", "ch6dist", *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_a_folder_is_trained_and_a_changed_one_is_not_resumed(tmp_path):
    root, run = flowers(tmp_path / "flowers"), tmp_path / "run"
    (tmp_path / "trial.yaml").write_text(
        f"data: {{folder: {root}, batch_size: 4}}\nmodel: simple_nn\nepochs: 1\nevaluate_test: true\n"
    )
    words = ["train", str(tmp_path / "trial.yaml"), "--run", str(run)]
    assert command(*words) == (0, "")
    [line] = read(run).trials.values()
    assert line["config"]["data"]["found"]["train_images"] == 11
    assert {row["epoch"] for row in read(run).rows} == {1}
    image(99).save(root / "train/rose/000.png")
    status, said = command(*words, "--resume")
    assert status == 2
    assert "data.found.content" in said or "is not what it was" in said
    shutil.rmtree(root)
    status, said = command("train", str(tmp_path / "trial.yaml"), "--run", str(tmp_path / "other"))
    assert (status, said.count("\n")) == (2, 1)
    assert "data.folder" in said
    assert not (tmp_path / "other").exists()


def test_sources_are_called_by_what_they_are():
    assert Source("folder", "/data/flowers").name == "folder/flowers"
    assert Source("npz", "/data/digits.npz").name == "npz/digits"
    assert Source("code", "mydata:load").name == "mydata:load"
