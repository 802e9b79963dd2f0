"""Each check of a method finds a method that is broken in this way, and no other check does."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.testing import check_method
from bench.testing.method import (
    FITS,
    SAYS,
    a_seed_decides,
    arms_configure,
    batch_rules_are_followed,
    both_ends_can_be_fitted,
    company_does_not_matter,
    few_positives_are_enough,
    fit_gives_one_per_member,
    it_does_without_validation,
    labels_are_not_asked_for,
    one_feature_is_enough,
    rows_are_left_alone,
    scores_are_probabilities,
    settings_are_frozen,
    settings_have_defaults,
    settings_survive_json,
    space_starts_from_the_arm,
    steps_are_counted,
    what_was_used_is_told,
)
from tests.methods.test_methods_own import MEANS
from tests.testing.broken import Broken, changed, each, expect_faults, fail_alone, faults_of, written

FITTED = "[_fit(member) for member in members]"
ROWS = "(rows,) = member.pools"
NEARER = "(far - near)))"
RETURNS = "return 1 / (1"
SETTING = "    steepness: float = Field(default=1.0, gt=0)\n"
LAST_ARM = 'Arm("means-steep", "means", "the same, steeper", settings={"steepness": 4.0})'
OF_THE_SEED = {NEARER: "(far - near - member.seed)))"}
MORE_AT_TIMES = '''if trial.suggest_float("steepness", 0.1, 10.0, log=True) > 5:
        trial.suggest_categorical("more", (True, False), default=True)
    return {"steepness"'''
SCORES = (  # all that look at scores
    scores_are_probabilities,
    it_does_without_validation,
    one_feature_is_enough,
    few_positives_are_enough,
    both_ends_can_be_fitted,
)
BITS = (a_seed_decides, company_does_not_matter)
CASES = [
    Broken(
        [settings_have_defaults],
        {"default=1.0, gt=0": "gt=0"},
        "ValidationError: 1 validation error for Config",
    ),
    Broken([settings_are_frozen], {', extra="forbid"': ""}, "it takes the setting no_such_setting"),
    Broken(
        [settings_are_frozen],
        {SETTING: f"{SETTING}\n    def __setattr__(self, name, value):\n        pass\n"},
        "steepness can be set",
    ),
    Broken(
        [settings_survive_json],
        {
            SETTING: f"{SETTING}\n    @field_serializer('steepness', when_used='json')\n"
            "    def _in_words(self, steepness):\n        return steepness * 2\n",
            "import BaseModel": "import field_serializer, BaseModel",
        },
        "comes back as Config(steepness=2.0)",
    ),
    Broken([arms_configure], {'"the nearer class mean"': '""'}, "'means' has no description"),
    Broken(
        [arms_configure],
        {'{"steepness": 4.0}': '{"slope": 4.0}'},
        "'means-steep' has a setting that means cannot take",
    ),
    Broken([arms_configure], {'"means-steep"': '"means"'}, "Two arms are called 'means'"),
    Broken(
        [space_starts_from_the_arm, both_ends_can_be_fitted],
        {"0.1, 10.0, log": "2.0, 10.0, log"},
        "the default steepness = 1.0 lies outside",
    ),
    Broken(
        [space_starts_from_the_arm, both_ends_can_be_fitted],
        {'{"steepness": trial': '{"steep": trial'},
        "has a setting that means cannot take: steep",
    ),
    Broken(
        [space_starts_from_the_arm],
        {'trial.suggest_float("steepness", 0.1': '2 * trial.suggest_float("steepness", 0.1'},
        "the arm has other settings than by itself",
    ),
    Broken(
        [space_starts_from_the_arm, both_ends_can_be_fitted],
        {'return {"steepness"': MORE_AT_TIMES},
        "asked for 'more' in one trial and not in another",
    ),
    Broken([fit_gives_one_per_member], {FITTED: "[]"}, "it returns 0 for 2 members"),
    Broken(
        [fit_gives_one_per_member], {FITTED: "[1, 2]"}, "it returns a int; expected a bench.contract.Fitted"
    ),
    Broken([fit_gives_one_per_member], {FITTED: "_fit(members[0])"}, "it returns a Fitted; expected a list"),
    Broken([fit_gives_one_per_member], {ROWS: "raise KeyError('rows')"}, "KeyError: 'rows', line 34"),
    Broken([fit_gives_one_per_member], {"threads=1": "threads='1'"}, "TypeError"),
    Broken(
        [scores_are_probabilities],
        {RETURNS: "return np.full(1, np.nan) if len(part.X) == 1 else 1 / (1"},
        "1 of 1 scores are not finite",
    ),
    Broken([*SCORES], {"part.X - mean": "part.X[1:] - mean"}, "expected (n,)"),
    Broken(
        [*SCORES],
        {RETURNS: "return [0.5] * len(part.X) or 1 / (1"},
        "`predict` returns a list; expected an array",
    ),
    Broken(
        [*SCORES],
        {RETURNS: "return np.ones(len(part.X), int) if 1 else 1 / (1"},
        "scores are int64; expected float64",
    ),
    Broken([*SCORES], {NEARER: "(far - near))) * np.nan"}, "scores are not finite"),
    Broken([*SCORES], {NEARER: "(far - near))) + 2"}, "expected probabilities in [0, 1]"),
    Broken(
        [*SCORES, labels_are_not_asked_for, *BITS, rows_are_left_alone],
        {RETURNS: "return part.X / (1"},
        "operands could not be broadcast",
    ),
    Broken(
        [steps_are_counted], {"steps=1, best_step=1": "steps=1, best_step=2"}, "step 2 of 1 is the best one"
    ),
    Broken(
        [fit_gives_one_per_member],
        {"samples_seen=len": "samples_seen=-len"},
        "Fitted(samples_seen=…) takes 0 to",
    ),
    Broken(
        [what_was_used_is_told],
        {'engine="numpy"': 'device="cuda"'},
        "the device is 'cuda', and it was given 'cpu'",
    ),
    Broken([what_was_used_is_told], {'engine="numpy"': 'engine=" "'}, "the engine has an empty name"),
    Broken(
        [fit_gives_one_per_member],
        {"threads=1": "threads=0"},
        "Fitted(threads=…) takes 1 to 2147483647, and was given: 0",
    ),
    Broken(
        [labels_are_not_asked_for],
        {RETURNS: "return part.y * 1.0 if part.y is not None else 1 / (1"},
        "other scores than with the labels at hand",
    ),
    Broken(
        [labels_are_not_asked_for, *BITS, rows_are_left_alone, *SCORES[1:]],
        {"part.X - mean": "part.X - part.labels.mean() - mean"},
        "the test part has no labels here",
    ),
    Broken(
        [*BITS[:1], labels_are_not_asked_for, *BITS[1:]],
        {NEARER: "(far - near + np.random.rand())))"},
        "and the scores are others",
    ),
    Broken(
        [*BITS[:1], labels_are_not_asked_for, *BITS[1:]],
        {NEARER: "(far - near + np.random.default_rng().random())))"},
        "and the scores are others",
    ),
    Broken(
        [a_seed_decides],
        {FITTED: "[_fit(member) for member in sorted(members, key=lambda member: member.seed)]"}
        | OF_THE_SEED,
        "members in another order, and the scores are others",
    ),
    Broken(
        [company_does_not_matter, a_seed_decides],
        {FITTED: "[_fit(members[0]) for member in members]"} | OF_THE_SEED,
        "seed 1 has other scores alone than beside another",
    ),
    Broken(
        [company_does_not_matter],
        {
            FITTED: "[_fit(member, len(members)) for member in members]",
            "def _fit(member)": "def _fit(member, company)",
            NEARER: "(far - near - company)))",
        },
        "seed 0 has other scores alone than beside another",
    ),
    Broken(
        [batch_rules_are_followed],
        {"VERSION = 3": "VERSION = 3\nDRAWS_BATCHES = True"},
        "by the rule balanced it gives the scores that it gives without",
    ),
    Broken([rows_are_left_alone], {ROWS: f"{ROWS}; rows.X[0] = 7"}, "the train rows were changed"),
    Broken(
        [it_does_without_validation],
        {NEARER: "(far - near - member.valid.X[0, 0])))"},
        "IndexError: index 0 is out of bounds",
    ),
    Broken([one_feature_is_enough], {"part.X - mean": "part.X - mean + 0 * part.X[:, [1]]"}, "IndexError"),
    Broken(
        [few_positives_are_enough],
        {ROWS: f"{ROWS}; assert rows.labels.sum() > 5, 'few'"},
        "AssertionError: few",
    ),
    Broken(
        [both_ends_can_be_fitted],
        {ROWS: f"{ROWS}; assert member.config.steepness < 5, 'steep'"},
        "AssertionError: steep",
    ),
]


@each(CASES)
def test_a_fault_of_a_method_is_told_by_its_check(case: Broken, tmp_path: Path) -> None:
    expect_faults(case, check_method, written(tmp_path, changed(MEANS, case.changes)))


def test_every_check_fails_alone_for_some_method() -> None:
    assert fail_alone(CASES) == {*SAYS, *FITS}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("VERSION = 3", "", "lacks `VERSION`"),
        ("def space", "def spice", "lacks `space`"),
        ("VERSION = 3", "VERSION = 0", "VERSION is 0; expected a whole number from 1 on"),
        ("VERSION = 3", "VERSION = 3\nDRAWS_BATCHES = 1", "DRAWS_BATCHES is 1; expected True or False"),
        ("frozen=True, ", "", "Config must be frozen"),
        (
            '("pluggy",)',
            '("no-such-package",)',
            "no-such-package not installed here: pip install no-such-package",
        ),
    ],
)
def test_what_no_method_can_be_made_of_is_told(old: str, new: str, words: str, tmp_path: Path) -> None:
    (fault,) = faults_of(check_method, written(tmp_path, changed(MEANS, {old: new}))).values()
    assert words in fault


@pytest.mark.parametrize(
    "changes",
    [
        OF_THE_SEED,
        {FITTED: "[_fit(member) for member in sorted(members, key=lambda member: member.seed)]"},
        {
            ROWS: f"{ROWS}\n    if not len(member.valid.X):\n"
            "        raise ValueError('it stops early on validation rows')"
        },
        {
            "VERSION = 3": "VERSION = 3\nDRAWS_BATCHES = True",
            NEARER: "(far - near - sum(len(rule.name) for rule in member.rules if rule))))",
        },
    ],
    ids=[
        "scores of the seed",
        "an order that shows nowhere",
        "it says that it needs validation rows",
        "rules",
    ],
)
def test_what_is_no_fault_is_taken(changes: dict[str, str], tmp_path: Path) -> None:
    assert len(check_method(written(tmp_path, changed(MEANS, changes)))) == 1 + len(SAYS) + len(FITS)
