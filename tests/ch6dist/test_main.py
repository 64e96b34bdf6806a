"""The command line: wrong input is one line that helps, exit status 2, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ch6dist.__main__ import app
from ch6dist.cli import run
from ch6dist.config import parse_trial
from ch6dist.optim.schedules import preview
from ch6dist.yamlfile import with_dotted
from tests.support.paths import ROOT
from tests.support.schedules import EVERY_SCHEDULE
from tests.support.trials import files_in

DATA = {"name": "synthetic_mnist", "train_size": 100, "val_size": 50}
GOOD = {"data": DATA, "model": "simple_nn", "optimizer": "SGD", "epochs": 2}


@pytest.fixture(autouse=True)
def here(in_tmp_path, monkeypatch):
    """An empty working directory, so that whatever is written by mistake is seen."""
    folder = in_tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "trial.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    return path


def refused(capsys, *arguments):
    """The one line of a refused command, which wrote nothing."""
    status = run(app, name="ch6dist", arguments=[str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("ch6dist: ")
    assert err.endswith("\n")
    assert "Traceback" not in err
    assert files_in(Path.cwd()) == []
    return err


# key, value, what the line must say
WRONG_VALUES = [
    ("epocs", "3", ["epocs", "did you mean 'epochs'?"]),
    ("optimizer.momentun", "0.9", ["optimizer.momentun", "did you mean 'momentum'?"]),
    ("data.batchsize", "64", ["data.batchsize", "did you mean 'batch_size'?"]),
    ("optimizer", "adam", ["optimizer.name", "'adam'", "did you mean 'Adam'?", "RMSprop"]),
    ("optimizer.name", "Lion", ["optimizer.name", "'Lion'", "SGD"]),
    ("schedule", "CosineAnealingLR", ["schedule", "did you mean 'CosineAnnealingLR'?"]),
    ("schedule.name", "Cosine", ["schedule.name", "'Cosine'"]),
    ("model", "resnet19", ["model.name", "did you mean 'resnet18'?"]),
    ("data.name", "cifar", ["data.name", "did you mean 'cifar10'?"]),
    ("optimizer", "{name: Adam, momentum: 0.9}", ["optimizer.momentum", "Adam takes lr, betas"]),
    ("optimizer.lr", "fast", ["optimizer.lr", "'fast'", "a number > 0"]),
    ("optimizer.lr", "-0.1", ["optimizer.lr", "-0.1", "a number > 0"]),
    ("optimizer.lr", "0", ["optimizer.lr", "a number > 0"]),
    ("optimizer.lr", ".nan", ["optimizer.lr", "a number > 0"]),
    ("optimizer.lr", "1e999", ["optimizer.lr", "a number > 0"]),
    ("optimizer.lr", "true", ["optimizer.lr", "True", "a number > 0"]),
    ("optimizer.lr", "[0.1, 0.2]", ["optimizer.lr", "[0.1, 0.2]", "a number > 0"]),
    ("optimizer.nesterov", "true", ["optimizer.momentum", "nesterov is on"]),
    ("optimizer", "{name: Adam, betas: [0.9, 1.0]}", ["optimizer.betas", "a list of 2 numbers"]),
    ("optimizer", "[SGD]", ["optimizer", "['SGD']"]),
    ("optimizer", "", ["optimizer", "None"]),
    ("epochs", "2.5", ["epochs", "2.5", "a whole number"]),
    ("epochs", "0", ["epochs", "a number ≥ 1"]),
    ("epochs", "-3", ["epochs", "-3"]),
    ("epochs", "yes", ["epochs", "'yes' (true in YAML 1.1)", "a whole number"]),
    ("seed", "-1", ["seed", "-1"]),
    ("data.batch_size", "0", ["data.batch_size", "0"]),
    ("data.train_size", "60000", ["data.train_size", "60000", "at most 59950"]),
    ("data.val_size", "60000", ["data.val_size", "60000"]),
    ("data.augment", "mixop", ["data.augment", "'mixop'", "crop_flip"]),
    ("precision", "fp16", ["precision", "'fp16'", "bf16"]),
    ("divergence_factor", "1", ["divergence_factor", "a number > 1"]),
    ("label_smoothing", "1", ["label_smoothing", "a number < 1"]),
    ("type", "tune", ["type", "'tune'", "range_test"]),
    ("range_test.end_lr", "1e-9", ["range_test.end_lr", "start_lr"]),
    ("schedule", "{name: StepLR}", ["schedule.step_size", "StepLR needs it"]),
    ("schedule", "{name: none, warmup: {epochs: 2}}", ["schedule.warmup.epochs", "less than the 2 epochs"]),
    ("schedule", "{name: CyclicLR, base_lr: 1.0}", ["schedule.base_lr", "max_lr"]),
    ("schedule", "{name: OneCycleLR, pct_start: 0.5}", ["schedule.pct_start", "the first of 2 steps"]),
    ("model.dropout", "1.0", ["model.dropout", "1.0", "< 1"]),
    ("epochs.x", "1", ["epochs", "a mapping"]),
]


@pytest.mark.parametrize(("key", "value", "expected"), WRONG_VALUES, ids=[f"{k}={v}" for k, v, _ in WRONG_VALUES])
def test_a_wrong_value_is_named_with_what_is_allowed(capsys, file, key, value, expected):
    err = refused(capsys, "train", file, f"{key}={value}")
    for part in expected:
        assert part in err
    assert "allowed: " in err or "is required: " in err


@pytest.mark.parametrize(
    ("key", "value", "expected"), WRONG_VALUES[:-1:3], ids=[f"{k}={v}" for k, v, _ in WRONG_VALUES[:-1:3]]
)
def test_a_wrong_value_in_the_file_names_the_file(capsys, tmp_path, key, value, expected):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(with_dotted(GOOD, key, "VALUE")).replace("VALUE", value))
    err = refused(capsys, "train", path)
    assert err.startswith(f"ch6dist: {path}: ")
    assert all(part in err for part in expected)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "a mapping"),
        (b"- a\n- b\n", "a mapping"),
        (b"just text", "a mapping"),
        (b"17", "a mapping"),
        (b"epochs: [1, 2", "line"),
        (b"epochs: 1\nepochs: 2\n", "a second time"),
        (b"epochs: !!python/object/apply:os.system ['touch pwned']", "python/object"),
        (b"epochs: !!python/name:os.system ''", "python/name"),
        (b"epochs: !include other.yaml", "!include"),
        (b"a: &a [*a]\nepochs: *b", "undefined alias"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"epochs: \x00", "special characters"),
        (b"[" * 5000, "YAML"),
    ],
)
def test_a_file_that_is_no_plain_mapping_is_refused(capsys, tmp_path, content, part):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    err = refused(capsys, "train", path)
    assert str(path) in err
    assert part in err


def test_a_file_that_is_not_there_is_named(capsys, tmp_path):
    assert "nothing.yaml" in refused(capsys, "train", tmp_path / "nothing.yaml")
    assert str(tmp_path) in refused(capsys, "preview", tmp_path)


@pytest.mark.parametrize("argument", ["epochs", "=3", "", "epochs 3"])
def test_an_override_without_key_and_value_is_refused(capsys, file, argument):
    assert "key=value" in refused(capsys, "train", file, argument)


@pytest.mark.parametrize(
    "arguments", [["trian"], ["train"], ["train", "--rum", "x", "t.yaml"], ["preview", "--epochs"]]
)
def test_a_wrong_command_is_one_line_too(capsys, arguments):
    refused(capsys, *arguments)


@pytest.mark.parametrize("name", ["cifar100", "mnist", "fashion_mnist"])
def test_missing_images_are_named_with_the_command_that_gets_them(capsys, file, tmp_path, monkeypatch, name):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("CH6DIST_DATA", str(tmp_path / "data"))
    err = refused(capsys, "train", file, f"data.name={name}", "--run", "one")
    assert "data.root" in err
    assert str(tmp_path / "data") in err
    assert f"`ch6dist data {name}`" in err


def test_a_damaged_image_file_is_refused_by_its_checksum(capsys, file, tmp_path):
    damaged = tmp_path / "data" / "cifar-100-python" / "train"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"\x80\x02}q\x01(U\x08filenamesq\x02" * 100)  # as CIFAR's begins, cut off
    err = refused(capsys, "train", file, "data.name=cifar100", f"data.root={tmp_path / 'data'}", "--run", "one")
    assert "cifar-100-python/train is damaged: its md5 is not 16019d7e3df5f24257cddd939b257f8d" in err


def test_a_file_where_the_run_should_be_is_refused(capsys, file, here):
    (here / "taken").write_text("mine")
    assert run(app, name="ch6dist", arguments=["train", str(file), "--run", "taken"]) != 0
    assert capsys.readouterr().err.count("\n") == 1
    assert (here / "taken").read_text() == "mine"


def previewed(capsys, *arguments):
    assert run(app, name="ch6dist", arguments=["preview", *map(str, arguments)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", EVERY_SCHEDULE)
def test_preview_prints_what_the_schedule_does(capsys, file, name):
    given = f"schedule={json.dumps(EVERY_SCHEDULE[name])}"
    (found,) = json.loads(previewed(capsys, file, given, "--json", "data.batch_size=30"))["trials"]
    trial = parse_trial({**GOOD, "data": {**DATA, "batch_size": 30}, "schedule": EVERY_SCHEDULE[name]})
    assert (found["file"], found["steps_per_epoch"], found["configured_lr"]) == (str(file), 4, 0.001)
    assert [(row["lr"], row["momentum"]) for row in found["lrs"]] == preview(trial, steps_per_epoch=4)
    assert [row["step"] for row in found["lrs"]] == list(range(1, 9))
    assert found["budget"] == pytest.approx(sum(row["lr"] for row in found["lrs"]) / 8 / 0.001)
    shown = previewed(capsys, file, given, "data.batch_size=30").splitlines()
    assert f"spends {100 * found['budget']:.1f} %" in shown[0]
    assert shown[-1].split()[:3] == ["last", "8", f"{found['lrs'][-1]['lr']:.6g}"]


@pytest.mark.parametrize("key", ["optimizer.lr", "optimizer.weight_decay", "model.dropout"])
def test_a_key_reaches_into_the_default_optimizer_and_model_as_in_a_sweep(key, capsys):
    (found,) = json.loads(previewed(capsys, f"{key}=0.03", "epochs=1", "data.batch_size=9000", "--json"))["trials"]
    assert found["configured_lr"] == (0.03 if key == "optimizer.lr" else parse_trial({}).optimizer["lr"])


def test_preview_shows_every_schedule_of_the_catalog_beside_the_others(capsys, file):
    options = [text for given in EVERY_SCHEDULE.values() for text in ("--schedule", json.dumps(given))]
    shown = previewed(capsys, file, *options, "optimizer.momentum=0.9")
    heads = [line for line in shown.splitlines() if "spends " in line]
    assert len(heads) == len(EVERY_SCHEDULE)
    for number, (name, line) in enumerate(zip(EVERY_SCHEDULE, heads, strict=True), 1):
        assert line.split()[0] == str(number)
        assert name in line or name in ("none", "SequentialLR", "ChainedScheduler")  # which show what they consist of
    assert f"lr {len(heads)}" in shown


def test_preview_shows_several_files_with_each_schedule_and_their_momentum_or_beta1(capsys, file, tmp_path):
    other = tmp_path / "a=b.yaml"
    other.write_text(yaml.safe_dump({**GOOD, "optimizer": "Adam"}))
    given = (file, other, "--schedule", "none", "--schedule", "OneCycleLR", "epochs=3")
    found = json.loads(previewed(capsys, *given, "--json"))["trials"]
    assert [(one["file"], one["schedule"]) for one in found] == [
        (str(name), schedule) for name in (file, other) for schedule in ("constant", "OneCycleLR")
    ]
    assert [one["momentum_name"] for one in found] == ["momentum"] * 2 + ["beta1"] * 2
    shown = previewed(capsys, *given, "--by", "step")
    assert "beta1 4" in shown
    assert "beta1 0.9   spends 100.0 %" in shown, "constant: said once"
    assert "note 4: beta1 cycles 0.85–0.95" in shown
    assert [line.split()[:2] for line in shown.splitlines()[-3:]] == [["1", "1"], ["2", "2"], ["3", "3"]]


def test_preview_needs_no_file_where_a_trial_of_defaults_is_meant(capsys):
    (found,) = json.loads(previewed(capsys, "schedule=CosineAnnealingLR", "epochs=2", "--json"))["trials"]
    assert (found["file"], found["schedule"]) == (None, "CosineAnnealingLR")
    assert len(found["lrs"]) == 2 * found["steps_per_epoch"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "TRIAL.yaml is required"),
        (["FILE", "--by", "week"], "--by: 'week' is not allowed; allowed: epoch or step"),
        (["FILE", "nowhere.yaml"], "nowhere.yaml"),
        (["FILE", "--schedule", "StepLR"], "schedule.step_size is required"),
        (["FILE", "--schedule", "none", "--schedule", "Cosine"], "did you mean 'CosineAnnealingLR'?"),
        (["FILE", "--schedule", "[1"], "schedule"),
        (["--schedule", "{name: StepLR, step_size: 2, verbose: true}"], "schedule.verbose"),
        (["FILE", "schedule.name=StepLR", "--schedule", ""], "schedule"),
    ],
)
def test_preview_refuses_what_it_cannot_show(capsys, file, arguments, said):
    assert said in refused(capsys, "preview", *[file if text == "FILE" else text for text in arguments])


def python_m(*arguments, flags=()):
    command = [sys.executable, *flags, "-m", "ch6dist", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)})


def test_the_process_ends_with_the_status_and_the_line(file, here):
    done = python_m("train", file, "optimizer.lr=-1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"ch6dist: {file}: optimizer.lr: -1 is not allowed; allowed: a number > 0\n"
    assert files_in(here) == []


def test_help_answers_without_torch():
    done = python_m("--help", flags=("-X", "importtime"))
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("train", "range-test", "preview", "data"))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ch6dist.cli" in imported
    assert not {name.partition(".")[0] for name in imported} & {"torch", "ray", "pandas", "matplotlib", "scipy"}


def test_wrong_input_is_refused_before_torch_is_loaded(file):
    done = python_m("train", file, "optimizer.lr=-1", flags=("-X", "importtime"))
    assert done.returncode == 2
    assert "torch" not in {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
