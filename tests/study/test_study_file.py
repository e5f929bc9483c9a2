"""A study file is read strictly: each mistake is one sentence that names file and place."""

import re

import pytest

from tracegrad.data import TASKS
from tracegrad.errors import UsageError
from tracegrad.run.config import RULES
from tracegrad.study.study_file import FILES, load_study, read_study, ready_made

from .conftest import TEXT, TUNING, small


def changed(old: str, new: str) -> str:
    assert old in TEXT + TUNING, old
    return (TEXT + TUNING).replace(old, new, 1)


BROKEN = [
    ("name = ", "name ", "s.toml is no valid TOML: "),
    ("name = ", "nam = ", "s.toml: name is missing. Give text."),
    ('"small"', "3", "s.toml: name must be text, got 3."),
    ("[base]", "colour = 1\n[base]", "s.toml: there is no colour, expected one of format, name"),
    ("[base]", "format = 2\n[base]", "s.toml: format must be 1, got 2."),
    ("[[grid]]", "[grid]", "s.toml: grid must be a list, got {"),
    ("[[grid]]\n", "[[other]]\n", "s.toml: grid is missing. Give a list."),
    ('["bptt", "eprop"]', '"bptt"', "s.toml: grid[0].rule must be a list of values, got 'bptt'."),
    ('["bptt", "eprop"]', "[]", "s.toml: grid[0].rule must be a list of values, got []."),
    ('"eprop"]', '"bptt"]', "s.toml: grid[0].rule must be a list of different values"),
    ("[base]", 'folds = ["rule"]\n[base]', "s.toml: folds must be settings of the form task_opt"),
    ("[base]", "folds = []\n[base]", "s.toml: folds must be a list of values, got []."),
    ("[base]", "folds = [1, 1]\n[base]", "s.toml: folds must be a list of different values"),
    ("[base]", "folds = [1]\n[base]", "s.toml: folds must be settings of the form task_options.N"),
    (
        "[base]",
        'folds = ["task_options.count"]\n[base]',
        "s.toml: folds names task_options.count, which not every grid varies.",
    ),
    ("[[grid]]", "[[grid]]\nseed = [0]", "s.toml: grid[0].seed is set by sizes."),
    ('"eprop"', '"hebb"', "rule hebb: learning.rule must be one of bptt, .*, got 'hebb'"),
    ('"eprop"', "7", "rule 7: learning.rule must be text, got 7"),
    (
        "learning.batch = 8",
        'learning.batch = "8"',
        "learning.batch must be a whole number, got '8'",
    ),
    ("learning.batch = 8", "learning.speed = 8", "there is no setting learning.speed, expected"),
    ("learning.batch = 8", "speed = 8", "there is no setting speed, expected one of task"),
    ("count = 16", "cuont = 16", "there is no option task_options.cuont, expected one of count, t"),
    ("count = 16", "count = 1.5", "task_options.count must be of the kind of 5000, got 1.5"),
    ("[[grid]]", "rule_options.groups = 1\n[[grid]]", "there is no option rule_options.groups"),
    ('task = "yin_yang"', "", "small: the base or every grid must name a task."),
    ("[sizes.smoke]", "[sizes.tiny]", "s.toml: sizes must be full and smoke, got full, tiny."),
    ("seeds = 3", "seeds = 0", "s.toml: sizes.full.seeds must be at least 1, got 0."),
    ("seeds = 3", "seeds = true", "s.toml: sizes.full.seeds must be a whole number, got True."),
    ("seeds = 2", "seeds = -2", "s.toml: sizes.smoke.seeds must be at least 1, got -2."),
    ("seconds = 300", "seconds = nan", "s.toml: sizes.full.seconds must be a number, got nan."),
    ("seconds = 300", "seconds = 0", "s.toml: sizes.full.seconds must be a positive number"),
    ("seconds = 300", "", "s.toml: sizes.full.seconds is missing. Give a number."),
    ("seeds = 3", "seeds = 3\nspeed = 1", "s.toml: there is no sizes.full.speed, expected one of"),
    ("seeds = 3", 'seeds = 3\nkeep = { rule = ["x"] }', "sizes keep rule 'x', which is in no grid"),
    ("trials = 3", "trials = 0", "s.toml: tuning.trials must be at least 1, got 0."),
    ("trials = 3", "trials = 3\nspeed = 1", "s.toml: there is no tuning.speed, expected one of"),
    ("low = 1e-4", "low = 1", "parameters.learning.learning_rate.low must be below high and pos"),
    ("low = 1e-4, ", "", "parameters.learning.learning_rate.low is missing. Give a number."),
    ("log = true", 'log = "yes"', "learning_rate.log must be true or false, got 'yes'."),
    ("[1.0, 2.0]", "[1.0, -2.0]", "network.input_gain must be a positive number, got -2.0"),
    ("network.input_gain", "network.gain", "there is no setting network.gain, expected one of"),
    ("[tuning]", "[goal]\n[tuning]", "s.toml: goal must be an accuracy or a loss"),
    ("[tuning]", "[goal]\nspeed = 3\n[tuning]", "s.toml: there is no goal.speed"),
    ("network.input_gain", "rule", "tuning and a grid both set rule"),
]


@pytest.mark.parametrize(("old", "new", "message"), BROKEN)
def test_a_mistake_is_one_sentence_with_its_place(old, new, message):
    with pytest.raises(UsageError) as caught:
        read_study(changed(old, new), "s.toml", "full")
    assert re.search(re.escape(message).replace(r"\.\*", ".*"), str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


def test_a_huge_grid_is_refused_before_it_is_made():
    axes = "\n".join(f"learning.{n} = {list(range(1, 99))}" for n in ("batch", "epochs", "a"))
    with pytest.raises(UsageError, match="more than 10000 groups. Make it smaller"):
        read_study(TEXT.replace("[[grid]]", f"[[grid]]\n{axes}"), "s.toml", "full")


def test_equal_cells_under_two_names_are_refused():
    twice = TEXT.replace(
        "[sizes.full]", '[[grid]]\nrule = ["bptt"]\nneuron = ["LIF"]\n[sizes.full]'
    )
    with pytest.raises(UsageError, match="are the same cell"):
        read_study(twice, "s.toml", "full")


@pytest.mark.parametrize(
    "text", ["", "\x00", "[[[", "name = [", "= 3", "[base]\n[base]", "x" * 999]
)
def test_hostile_text_is_one_sentence(text):
    with pytest.raises(UsageError, match="^s.toml"):
        read_study(text, "s.toml", "full")


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(
        UsageError, match="There is no study file none.toml. Give a TOML file or one"
    ):
        load_study("none.toml", "full")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="bytes.toml cannot be read"):
        load_study(str(tmp_path / "bytes.toml"), "full")
    with pytest.raises(UsageError, match="cannot be read"):
        load_study(str(tmp_path), "full")


def test_sizes_change_base_and_keep_part_of_the_grid():
    full, few = small(), small(size="smoke")
    assert [group["rule"] for group in full.groups] == ["bptt", "eprop"]
    assert [group["rule"] for group in few.groups] == ["bptt"]
    cell = full.cell(full.groups[1], 2, {})
    assert cell.config.learning.rule == "eprop" and cell.config.seed == 2
    assert cell.config.network.hidden == (4,) and cell.config.learning.batch == 8
    assert cell.config.network.readout == "integrator", "the task's own, where nothing is said"
    assert (cell.task().train.size, cell.task().test.size) == (16, 8)


def test_ready_made_studies_ask_what_they_are_for():
    assert ready_made() == ["depth", "feedback", "horizon", "locality", "paper"]
    studies = {name: load_study(name, "full") for name in ready_made()}
    assert all(study.seeds == 5 for study in studies.values())
    paper = studies["paper"].groups
    assert {g["task"] for g in paper} == set(TASKS) - {"digits", "spoken_digits", "braille"} - {
        name for name, entry in TASKS.items() if entry.needs_data
    }
    rules = "bptt rtrl block_diagonal eprop superspike rflo decolle ottt".split()
    assert [g["rule"] for g in paper if g["task"] == "add"] == rules
    assert all(rule in RULES for rule in rules)
    dial = [g["rule_options.groups"] for g in studies["locality"].groups if g["rule"] == "block"]
    assert dial[0] == 1 and dial[-1] == studies["locality"].groups[0]["network.hidden"][0]
    assert {len(g["network.hidden"]) for g in studies["depth"].groups} == {1, 2, 3}
    delays = {1000 * g["task_options.delay"] for g in studies["horizon"].groups}
    assert min(delays) == 10 and max(delays) == 1000
    assert {g.get("signal") for g in studies["feedback"].groups} == {
        None, "symmetric", "adaptive", "random", "local", "target",
    }  # fmt: skip
    for name in ready_made():
        few = load_study(name, "smoke")
        assert len(few.groups) * few.seeds <= 16 and (FILES / f"{name}.toml").is_file()
