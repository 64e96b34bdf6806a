"""`ch6dist look` evaluates as the training did, measures what docs/network.md says, or refuses with one line."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ch6dist.__main__ import app
from ch6dist.catalog.dataset_files import DataFilesError, data_root
from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.layers import layers_of as layers_by_name
from ch6dist.catalog.look import ARRAYS, FORMAT, INDEX, TABLES, WITH_SUPERCLASSES
from ch6dist.catalog.models import MODELS
from ch6dist.cli import run
from ch6dist.config import parse_trial
from ch6dist.data.images import PAD, epoch_plan, load_split, load_test, normalize
from ch6dist.data.names import Names, class_names
from ch6dist.data.stored import ArrayUnpickler
from ch6dist.engines.measures import saturated_share
from ch6dist.look.command import look_at
from ch6dist.look.layers import IDLE, Saturation
from ch6dist.look.samples import augmented_samples, class_samples
from ch6dist.look.scores import class_rows, pair_rows, superclass_rows, wilson
from ch6dist.look.subject import open_subject
from ch6dist.models.build import build_model
from ch6dist.runs.ledger import read
from tests.support.looks import looked, train_into, trained
from tests.support.paths import ROOT
from tests.support.trials import files_in, real

torch.set_num_threads(1)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("CH6DIST_RUNS", raising=False)


def index_of(folder: Path):
    return json.loads((folder / INDEX).read_text(encoding="utf-8"), parse_constant=pytest.fail)


def rows_of(path: Path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def arrays_of(folder: Path):
    with np.load(folder / ARRAYS, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


# The registry: every model, of one channel and of three, with and without superclasses.


@pytest.mark.parametrize("model", MODELS)
def test_every_model_of_the_catalog_can_be_looked_at_and_has_the_accuracy_of_its_ledger(model):
    data = "synthetic_cifar100" if model == "lenet5" else "synthetic_mnist"
    folder = looked(model, data)
    index, arrays, last = index_of(folder), arrays_of(folder), read(trained(model, data)).rows[-1]
    assert (index["format"], index["checkpoint"]["epoch"]) == (FORMAT, 2)
    assert index["accuracy"] == pytest.approx(last["val_accuracy"], abs=1e-12) == index["recorded_accuracy"]
    layers = rows_of(folder / "layers.csv")
    known = layers_by_name({"name": model, **MODELS[model].resolve({})}, DATASETS[data])
    assert known is not None
    assert [row["layer"] for row in layers] == [name for name in known if name in {row["layer"] for row in layers}]
    for row in layers:
        assert int(row["outputs"]) == known[row["layer"]].outputs == math.prod(map(int, row["shape"].split("×")))
        assert int(row["parameters"]) == sum(known[row["layer"]].parameters.values())
        assert 0 <= float(row["saturated"]) <= float(row["zeros"]) <= 1 or row["kind"] not in ("ReLU", "MaxPool2")
        assert (row["moved"] != "") == (row["parameters"] != "0")
    assert sum(int(row["parameters"]) for row in layers) == sum(sum(k.parameters.values()) for k in known.values())
    assert {f"filters.{row['layer']}" for row in layers if row["kind"] == "Conv2d"} == {
        name for name in arrays if name.startswith("filters.")
    }
    assert (folder / WITH_SUPERCLASSES).exists() == (data == "synthetic_cifar100")
    assert (folder / ARRAYS).stat().st_size < 1e6


def test_only_layers_that_pass_values_on_are_left_out():
    left = {"flatten", "dropout1", "dropout2"}
    assert {row["layer"] for row in rows_of(looked() / "layers.csv")} == set(
        layers_by_name({"name": "lenet5"}, DATASETS["cifar100"]) or {}
    ) - left
    assert all(
        torch.equal(layer(torch.ones(2, 3)).flatten(), torch.ones(6))
        for layer in (IDLE[0](), IDLE[1](), IDLE[2](0.5, layer=0).eval())
    )


def test_the_tables_have_their_documented_columns_and_agree_with_each_other():
    folder = looked()
    index, confusion = index_of(folder), arrays_of(folder)["confusion"]
    assert set(files_in(folder)) == {INDEX, ARRAYS, *TABLES}
    for name, columns in TABLES.items():
        assert list(rows_of(folder / name)[0]) == list(columns) == list(index["tables"][name])
    classes, superclasses = rows_of(folder / "classes.csv"), rows_of(folder / WITH_SUPERCLASSES)
    for table in (classes, superclasses):
        assert sum(int(row["images"]) for row in table) == index["images"] == confusion.sum()
        assert sum(int(row["correct"]) for row in table) == index["correct"] == confusion.trace()
    assert all(int(row["within"]) >= int(row["correct"]) for row in superclasses)
    pairs = rows_of(folder / "pairs.csv")
    assert [int(row["count"]) for row in pairs] == sorted((int(row["count"]) for row in pairs), reverse=True)
    assert all(row["true"] != row["predicted"] for row in pairs)


# What is evaluated.


def test_best_and_last_are_the_weights_of_their_epochs(tmp_path):
    run_folder = trained("simple_nn", "synthetic_mnist")
    ledger = {row["epoch"]: row["val_accuracy"] for row in read(run_folder).rows}
    for name in ("last", "best"):
        look_at(run_folder, None, checkpoint=name, folder=tmp_path / name)
        index = index_of(tmp_path / name)
        assert index["accuracy"] == pytest.approx(ledger[index["checkpoint"]["epoch"]], abs=1e-12)
    assert index["accuracy"] == max(ledger.values())
    assert any("chosen by its validation accuracy" in note for note in index["notes"])


@pytest.mark.parametrize("precision", ["bf16", "fp64"])
def test_the_precision_of_the_training_is_that_of_the_look(tmp_path, precision):
    data = {"name": "synthetic_mnist", "train_size": 64, "val_size": 50, "augment": "crop_flip"}
    run_folder = train_into(tmp_path / "run", data=data, model="lenet5", epochs=1, precision=precision)
    look_at(run_folder, None, folder=tmp_path / "look")
    assert index_of(tmp_path / "look")["accuracy"] == pytest.approx(
        read(run_folder).rows[-1]["val_accuracy"], abs=1e-12
    )


def test_a_split_that_follows_the_seed_is_the_trials_own(tmp_path):
    data = {"name": "synthetic_mnist", "train_size": 64, "val_size": 50}
    run_folder = train_into(tmp_path / "run", data=data, model="simple_nn", epochs=1, seed=5, vary=["split"])
    look_at(run_folder, None, folder=tmp_path / "look")
    trial = parse_trial(next(iter(read(run_folder).trials.values()))["config"])
    own, other = (load_split(trial.data, device="cpu", seed=seed).val_images for seed in (5, None))
    images = arrays_of(tmp_path / "look")["images"]
    assert np.array_equal(images, own[:4].numpy())
    assert not np.array_equal(images, other[:4].numpy())


def test_a_final_training_is_looked_at_on_its_test_set_without_a_warning_and_another_with_one(tmp_path):
    data = {"name": "synthetic_mnist", "train_size": 64, "val_size": 0}
    final = train_into(tmp_path / "final", data=data, model="simple_nn", epochs=1, evaluate_test=True)
    _, lines = look_at(final, None, split="test", folder=tmp_path / "a")
    assert index_of(tmp_path / "a")["accuracy"] == pytest.approx(read(final).rows[-1]["test_accuracy"], abs=1e-12)
    assert not [line for line in lines if line.startswith("warning")]
    _, lines = look_at(trained("simple_nn", "synthetic_mnist"), None, split="test", folder=tmp_path / "b")
    assert len([line for line in lines if line.startswith("warning: this is no final training")]) == 1
    assert index_of(tmp_path / "b")["recorded_accuracy"] is None


def test_a_look_leaves_the_run_as_it_was(tmp_path):
    run_folder = shutil.copytree(trained("simple_nn", "synthetic_mnist"), tmp_path / "run")
    before = {name: (run_folder / name).read_bytes() for name in files_in(run_folder)}
    look_at(run_folder, None, folder=tmp_path / "look")
    assert {name: (run_folder / name).read_bytes() for name in files_in(run_folder)} == before


# What is measured.


def test_saturation_over_batches_is_what_capture_calls_saturated_of_all_at_once():
    outputs = torch.randn(50, 4, 3, generator=torch.Generator().manual_seed(0))
    outputs[:, 0, :2] = -1
    for kind, values in (("ReLU", outputs.relu()), ("Tanh", (3 * outputs).tanh()), ("Linear", outputs)):
        saturation = Saturation(kind)
        for part in values.split(17):
            saturation.take(part)
        assert saturation.saturated == pytest.approx(float(saturated_share(values.flatten(1), layer=kind)), abs=1e-6)
        assert saturation.zeros_share == float((values == 0).double().mean())
    relu = Saturation("ReLU")
    relu.take(outputs.relu())
    assert relu.saturated == 2 / 12


def test_a_unit_that_only_one_batch_leaves_at_zero_is_not_dead():
    saturation = Saturation("ReLU")
    saturation.take(torch.zeros(4, 3))
    saturation.take(torch.tensor([[0.0, 1.0, 0.0]]))
    assert (saturation.saturated, saturation.zeros_share) == (2 / 3, 14 / 15)


def test_zeros_and_dead_units_are_those_of_the_network_itself():
    subject = open_subject(trained(), None, checkpoint="last", device=CPU)
    data = load_split(subject.trial.data, device="cpu")
    images = normalize(data.val_images, data.mean, data.std, torch.float32)
    with torch.no_grad():
        conv1 = torch.nn.functional.conv2d(images, subject.model.conv1.weight, subject.model.conv1.bias).relu()
    row = next(row for row in rows_of(looked() / "layers.csv") if row["layer"] == "relu1")
    assert float(row["zeros"]) == pytest.approx(float((conv1 == 0).double().mean()), abs=1e-9)
    assert float(row["saturated"]) == pytest.approx(float((conv1 == 0).all(0).double().mean()), abs=1e-9)


def test_a_layer_has_moved_from_the_weights_that_its_seed_gives():
    subject = open_subject(trained(), None, checkpoint="last", device=CPU)
    start = build_model({"name": "lenet5"}, channels=3, height=32, width=32, classes=100, seed=3)
    moved = {row["layer"]: row["moved"] for row in rows_of(looked() / "layers.csv")}
    for name in ("conv1", "conv2", "fc1", "fc2", "fc3"):
        before, after = (
            torch.cat([p.detach().flatten() for p in model.get_submodule(name).parameters()]).double()
            for model in (start, subject.model)
        )
        assert float(moved[name]) == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-9)
        assert 0 < float(moved[name]) < 2


def test_the_filters_are_the_weights_and_the_maps_what_the_layers_put_out():
    subject, arrays = open_subject(trained(), None, checkpoint="last", device=CPU), arrays_of(looked())
    assert np.allclose(arrays["filters.conv2"], subject.model.conv2.weight.detach().numpy(), atol=1e-3)
    data = load_split(subject.trial.data, device="cpu")
    with torch.no_grad():
        outputs = subject.model.conv1(normalize(data.val_images[:2], data.mean, data.std, torch.float32)).numpy()
    low, high = np.percentile(outputs, [1, 99])
    row = rows_of(looked() / "layers.csv")[0]
    assert (float(row["low"]), float(row["high"])) == pytest.approx((low, high), rel=1e-5)
    back = low + arrays["maps.conv1"] / 255 * (high - low)
    assert np.abs(back - outputs.clip(low, high)).max() < (high - low) / 255


def test_augmented_images_are_those_of_the_trainings_own_batches():
    trial = parse_trial(
        {"data": {"name": "synthetic_cifar100", "train_size": 60, "val_size": 10}, "epochs": 3, "seed": 2}
    )
    data = load_split(trial.data, device="cpu")
    found = augmented_samples(data, trial, count=5)
    assert trial.data.augment == "crop_flip"
    assert found.images.shape == (5, 4, 3, 32, 32)
    assert torch.equal(found.images[:, 0], data.train_images[:5])
    for epoch in range(3):
        plan = epoch_plan(seed=2, epoch=epoch, count=60, augment="crop_flip", device="cpu")
        batch = plan.batch(data, 0, 60, torch.float32).images
        for image in range(5):
            seen = batch[(plan.order == image).nonzero().item()]
            assert torch.equal(
                normalize(found.images[image, epoch + 1][None], data.mean, data.std, torch.float32)[0], seen
            )


def test_the_table_says_how_an_image_was_moved_as_it_is_seen():
    trial = parse_trial({"data": {"name": "synthetic_cifar100", "train_size": 60, "val_size": 10}, "epochs": 8})
    found = augmented_samples(load_split(trial.data, device="cpu"), trial, count=4)
    assert {(mirrored, right > 0) for _, _, mirrored, _, right, _ in found.rows if right} == {
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    }
    for image, epoch, mirrored, down, right, _ in found.rows:
        original = found.images[image - 1, 0]
        expected = torch.nn.functional.pad(original.flip(-1) if mirrored else original, (PAD,) * 4)
        window = expected[:, PAD - down : PAD - down + 32, PAD - right : PAD - right + 32]
        assert torch.equal(found.images[image - 1, epoch], window), (image, epoch)


def test_samples_are_of_their_class_and_a_class_without_images_is_left_empty():
    trial = parse_trial({"data": {"name": "synthetic_cifar100", "train_size": 60, "val_size": 10}})
    data = load_split(trial.data, device="cpu")
    samples = class_samples(data, classes=100)
    there = set(data.train_labels.tolist())
    assert [int(n) for n in samples.found] == [int(number in there) for number in range(100)]
    for number in there:
        first = data.train_labels.tolist().index(number)
        assert torch.equal(samples.images[number, 0], data.train_images[first])


# Scores: numbers that others computed.


@pytest.mark.parametrize(
    ("correct", "images", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # Agresti and Coull 1998, and R's prop.test(correct = FALSE)
        (15, 148, 0.0624, 0.1605),  # Newcombe 1998, table 1: 81/263, 15/148, 0/20, 1/29
        (81, 263, 0.2553, 0.3662),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons_as_published(correct, images, low, high):
    assert wilson(correct, images) == pytest.approx((low, high), abs=6e-5)


def test_no_images_have_no_interval():
    assert all(math.isnan(end) for end in wilson(0, 0))


NAMES = Names(("a", "b", "c", "d"), ("x", "y"))
COARSE = np.array([0, 0, 1, 1])
CONFUSION = np.array([[5, 3, 2, 0], [1, 9, 0, 0], [4, 0, 6, 0], [0, 0, 2, 0]])


def test_scores_count_by_class_by_superclass_and_by_pair():
    assert [row[:4] for row in class_rows(CONFUSION, NAMES, COARSE)] == [
        ("a", "x", 10, 5),
        ("b", "x", 10, 9),
        ("c", "y", 10, 6),
        ("d", "y", 2, 0),
    ]
    first, second = superclass_rows(CONFUSION, NAMES, COARSE)
    assert (first[:3], first[6:8]) == (("x", 20, 14), (18, 18 / 20))
    assert (second[:3], second[6:8]) == (("y", 12, 6), (8, 8 / 12))
    assert pair_rows(CONFUSION, NAMES, COARSE) == [
        ("c", "a", 4, 10, 2, 10, 0),
        ("a", "b", 3, 10, 1, 10, 1),
        ("d", "c", 2, 2, 0, 10, 1),
        ("a", "c", 2, 10, 4, 10, 0),
        ("b", "a", 1, 10, 3, 10, 1),
    ]


def test_without_superclasses_nothing_is_said_of_them():
    names = Names(NAMES.classes, ())
    assert {row[1] for row in class_rows(CONFUSION, names, None)} == {""}
    assert {row[-1] for row in pair_rows(CONFUSION, names, None)} == {None}


# Names.


def test_every_data_set_has_a_name_for_every_class_and_superclass():
    for entry in DATASETS.values():
        if entry.names_file is None:
            names = class_names(entry.name)
            assert len(set(names.classes)) == entry.classes
            assert len(set(names.superclasses)) == entry.coarse_classes


@pytest.mark.real_data
def test_every_image_of_cifar_has_the_superclass_of_its_class_by_the_names_in_its_own_file():
    real("cifar100")
    entry, names = DATASETS["cifar100"], class_names("cifar100")
    assert (len(set(names.classes)), len(set(names.superclasses))) == (100, 20)
    trial = parse_trial({"data": {"name": "cifar100", "val_size": 10, "train_size": 10}})
    coarse = load_split(trial.data, device="cpu").coarse_of_class
    assert coarse is not None
    for file in (*entry.train_files, *entry.test_files):
        with (data_root() / file.path).open("rb") as opened:
            content = ArrayUnpickler(opened, encoding="bytes").load()
        assert coarse[torch.tensor(content[b"fine_labels"])].tolist() == content[b"coarse_labels"]
    superclass = {name: names.superclasses[coarse[number]] for number, name in enumerate(names.classes)}
    assert {name for name, of in superclass.items() if of == "people"} == {"baby", "boy", "girl", "man", "woman"}
    assert superclass["whale"] == "aquatic_mammals"
    assert superclass["shark"] == "fish"


# Wrong input.


def refused(capsys, *arguments: str, out: Path):
    status = run(app, name="ch6dist", arguments=["look", *arguments, "-o", str(out)])
    printed = capsys.readouterr()
    assert (status, printed.out, printed.err.count("\n")) == (2, "", 1), printed
    assert "Traceback" not in printed.err
    assert not out.exists()
    return printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["RUN", "'nowhere'"]),
        (["RUN", "nosuch"], ["TRIAL", "'nosuch'", "adam-lr0.003-simple_nn-s3"]),
        (["RUN", "--split", "train"], ["--split", "'train'", "val, test"]),
        (["RUN", "--split", "tset"], ["did you mean 'test'?"]),
        (["RUN", "--checkpoint", "first"], ["--checkpoint", "'first'", "last, best"]),
        (["RUN", "--images", "0"], ["--images", "≥ 1"]),
        (["RUN", "--images", "17"], ["--images", "≤ 16"]),
        (["RUN", "--images", "2.5"], ["--images", "a whole number"]),
        (["RUN", "--images", "all"], ["--images", "'all'"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_wrong_input_is_one_line_and_nothing_is_written(capsys, tmp_path, arguments, words):
    folder = str(trained("simple_nn", "synthetic_mnist"))
    error = refused(capsys, *[folder if text == "RUN" else text for text in arguments], out=tmp_path / "out")
    assert all(word in error for word in words), error


def copied(tmp_path: Path) -> tuple[Path, Path]:
    """A copy of a run and the folder of its trial's checkpoints."""
    copy = shutil.copytree(trained("simple_nn", "synthetic_mnist"), tmp_path / "run")
    return copy, next((copy / "checkpoints").iterdir())


def test_a_checkpoint_that_is_gone_damaged_or_of_another_model_is_named(capsys, tmp_path):
    copy, home = copied(tmp_path)
    (home / "last.pt").write_bytes((home / "last.pt").read_bytes()[:2000])
    assert "is no readable checkpoint" in refused(capsys, str(copy), out=tmp_path / "out")
    torch.save({"trial": home.name, "epoch": 2}, home / "last.pt")
    assert "holds no weights" in refused(capsys, str(copy), out=tmp_path / "out")
    torch.save({"trial": home.name, "epoch": 2, "lane": {"model": {"fc9.weight": torch.ones(2)}}}, home / "last.pt")
    assert "is of another simple_nn" in refused(capsys, str(copy), out=tmp_path / "out")
    (home / "last.pt").unlink()
    error = refused(capsys, str(copy), out=tmp_path / "out")
    assert "has no last checkpoint in" in error
    assert "--checkpoint best" in error
    (home / "best.pt").unlink()
    assert "checkpoints.keep" in refused(capsys, str(copy), out=tmp_path / "out")


def test_a_trial_without_a_validation_split_is_sent_to_the_test_set(capsys, tmp_path):
    data = {"name": "synthetic_mnist", "train_size": 64, "val_size": 0}
    run_folder = train_into(tmp_path / "run", data=data, model="simple_nn", epochs=1)
    error = refused(capsys, str(run_folder), out=tmp_path / "out")
    assert "--split: 'val' is not allowed; allowed: test" in error
    assert "has no validation split" in error


def test_of_several_trials_one_has_to_be_named(capsys, tmp_path):
    copy, _ = copied(tmp_path)
    ledger = next((copy / "ledger").iterdir())
    line = next(line for line in ledger.read_text().splitlines() if '"kind":"trial"' in line.replace(" ", ""))
    ledger.write_text(ledger.read_text() + line.replace("-s3-", "-s4-") + "\n")
    assert "TRIAL is required: one of the 2 trials" in refused(capsys, str(copy), out=tmp_path / "out")


def test_names_that_are_not_there_or_damaged_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CH6DIST_DATA", str(tmp_path / "nothing"))
    with pytest.raises(DataFilesError, match="nothing: cifar-100-python/meta is missing"):
        class_names("cifar100")
    with pytest.raises(DataFilesError, match="else: cifar-100-python/meta is missing"):
        class_names("cifar100", root=str(tmp_path / "else"))
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "cifar-100-python" / "meta").write_bytes(b"something else")
    with pytest.raises(DataFilesError, match="meta is damaged"):
        class_names("cifar100", root=str(tmp_path))


def test_a_folder_that_cannot_be_written_is_named(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    folder = str(trained("simple_nn", "synthetic_mnist"))
    assert run(app, name="ch6dist", arguments=["look", folder, "-o", str(tmp_path / "file")]) == 2
    assert "cannot write to" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == ""


def test_the_command_prints_what_it_saw_and_where_it_is(capsys, tmp_path):
    folder = trained("simple_nn", "synthetic_mnist")
    arguments = [
        "look",
        folder.name,
        "adam",
        "--runs",
        str(folder.parent),
        "-o",
        str(tmp_path / "out"),
        "--images",
        "1",
    ]
    assert run(app, name="ch6dist", arguments=arguments) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith(read(folder).rows[0]["trial"] + ", last checkpoint (epoch 2 of 2): ")
    assert "of 70 validation images right" in first
    assert last == str(tmp_path / "out" / INDEX)


def test_test_images_are_those_of_the_test_set(tmp_path):
    look_at(trained("simple_nn", "synthetic_mnist"), None, split="test", images="3", folder=tmp_path / "look")
    trial = parse_trial(next(iter(read(trained("simple_nn", "synthetic_mnist")).trials.values()))["config"])
    assert np.array_equal(arrays_of(tmp_path / "look")["images"], load_test(trial.data, device="cpu")[0][:3].numpy())


def test_the_document_explains_every_key_and_column():
    page = (ROOT / "docs" / "network.md").read_text(encoding="utf-8")
    for name, columns in TABLES.items():
        section = page.partition(f"\n`{name}`\n")[2].partition("\n`")[0]
        assert re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE) == list(columns.items()), name
    keys = set(re.findall(r"`(\w+)`", page.partition("## network.json")[2].partition("`network.npz`")[0]))
    assert set(index_of(looked())) | set(index_of(looked())["data"]) <= keys
