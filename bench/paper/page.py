"""The page of findings: the claims of `bench.paper.claims` in words and tables, and what was run for them.

Every number is a claim's or a record's, and every sentence that takes a side counts intervals.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.data.cards import card, dataset_names
from bench.names import OK
from bench.paper.alpha import PAPER_METRICS
from bench.paper.claims import BEFORE, CLAIM, MAIN_RIVALS, Tables, counts, sure_claim
from bench.protocols.published import rungs
from bench.report.columns import Row
from bench.report.render import clear, count, delta, ends, interval, markdown_table, number, printed
from bench.report.selection import Measured

TITLE = "# What the records here say"
_HEAD = f"""{TITLE}

This page is made by `bench tables` from the records in `compact/` (or `runs/`), as every table and figure under
`leaderboards/` is; `bench tables --check` fails where one is not what the records give. Differences are paired on runs
and test rows; intervals are 95 %, by the corrected t over folds (Nadeau and Bengio); ° marks records of one fold, of
which there is no such test: there the interval is the bootstrap's, conditional on the trained models. Bold is an
interval clear of 0; † says that p, adjusted (Holm) over all rows of a question, is below .05 and that the bootstrap's
interval conditional on the trained models agrees. An interval that holds 0 does not say that there is no difference: it
says how large one may be. Dated experiments with their motives, and what is not in records, are in
`results/LOG.md`."""
# What the studies of the committed trials (metabalance, version 2) chose among; STUDIED_SAMPLERS is what new ones do.
_STUDIED = ("random-over", "random-under", "smote", "borderline-smote", "adasyn")
_RATES = {"≤ .01": (0.0, 0.01), ".1, .3": (0.1, 0.3), "1, 3": (1.0, 3.0)}


def markdown(claims: pd.DataFrame, tables: Tables, sweeps: Tables) -> str:
    """Return the page; `claims` are the findings of the same `tables` and `sweeps`."""
    sections = {
        "meta step": _meta_step,
        "updates": _updates,
        "rivals": _rivals,
        "tuned": _tuned,
        "bayes": _bayes,
    }
    by_question = {question: claims[claims["question"] == question] for question in sections}
    parts = [
        "\n".join(write(by_question[question]))
        for question, write in sections.items()
        if len(by_question[question])
    ]
    return "\n\n".join([_HEAD, *parts, "\n".join(_ran(tables, sweeps))]) + "\n"


def _meta_step(claims: pd.DataFrame) -> list[str]:
    rate = claims["a"].str.extract(r"α = (.+)$")[0].astype(float)
    rows = []
    for (dataset, protocol, metric), group in _by(claims, "dataset", "protocol", "metric"):
        for words, rates in _RATES.items():
            within = group[rate[group.index].between(*rates)]
            if len(within):
                extremes = (_most(within, within["mean"]), _most(within, -within["mean"]))
                cells = [f"{_words(row)} ({row['a'].replace(', order', ' order')})" for row in extremes]
                names = [f"{dataset}, {protocol}", printed(metric), words, str(len(within))]
                rows.append([*names, *_texts(within), *cells])
    head = [
        "records",
        "metric",
        "α",
        "cells",
        "gain",
        "lose",
        "gain †",
        "lose †",
        "best",
        "worst",
    ]
    text = " ".join(_on_meta_step(claims[rate <= 0.01], claims[rate > 0.01]))
    return ["## What does MetaBalance's meta step do?", "", text, "", *markdown_table(head, rows)]


def _on_meta_step(small: pd.DataFrame, large: pd.DataFrame) -> list[str]:
    """Return what the claims at small and at large rates come to, in sentences."""
    sentences = []
    if len(small):
        (above, below, *_), most = counts(small), _most(small, small["mean"].abs())
        sentences.append(
            f"At the published α = .01 and below, {above} of {len(small)} cells gain and {below} lose by their "
            f"intervals; the largest change is {_words(most)} ({printed(most['metric'])}; {most['dataset']}, "
            f"{most['protocol']}, {most['a']})."
        )
    if len(large):
        above, below, surely_above, surely_below = counts(large)
        sentences.append(
            f"Above it {above} of {len(large)} gain and {below} lose, {surely_above} and {surely_below} of "
            "them surely (†)."
        )
    sentences.append(
        "The change is that against α = 0, which trains on the outer rows (and with λ = .01 on the inner) alone. Of "
        "many intervals some five in a hundred are clear of 0 by chance. Every cell: `alpha/leaderboards/*-alpha.md`."
    )
    return sentences


def _updates(claims: pd.DataFrame) -> list[str]:
    lines = ["## How much of the published gap is the number of updates?"]
    for (dataset,), group in _by(claims, "dataset"):
        gaps, changes = group[group["b"] != BEFORE], group[group["b"] == BEFORE]
        names = [name for name in rungs(card(dataset)) if name in set(gaps["protocol"])]
        lines += ["", f"### {dataset}", "", *_equalised(gaps, changes, names)]
        lines += [
            "",
            "ROC-AUC of the paper's arm less that of the other, each column with the repairs before it:",
            "",
        ]
        cell = {(row["a"], row["b"], row["protocol"]): _bold(row) for _, row in gaps.iterrows()}
        rows = [
            [f"{a} − {b}", *(cell.get((a, b, name), "–") for name in names)]
            for (a, b), _ in _by(gaps, "a", "b")
        ]
        lines += markdown_table(["arms", *(name.rpartition("+")[2] for name in names)], rows)
        lines += ["", f"The whole ladder, with its figure: `leaderboards/{dataset}-ladder.md`."]
    return lines


def _equalised(gaps: pd.DataFrame, changes: pd.DataFrame, names: list[str]) -> list[str]:
    """Return by pair the gap before and with the same number of updates for everybody, and the change."""
    gap = {(row["a"], row["b"], row["protocol"]): row for _, row in gaps.iterrows()}
    lines = []
    for _, row in changes[changes["protocol"].str.endswith("+equal-updates")].iterrows():
        a, b = row["a"].split(" - ")
        passed = names[: names.index(row["protocol"])]
        before = next(name for name in reversed(passed) if (a, b, name) in gap)
        lines.append(
            f"* {a} − {b}: {_words(gap[a, b, before])} before, {_words(gap[a, b, row['protocol']])} with equal "
            f"updates, a change of {_bold(row)}."
        )
    return lines


def _rivals(claims: pd.DataFrame) -> list[str]:
    above, below, surely_above, surely_below = counts(claims)
    held = claims[claims["b"].isin(MAIN_RIVALS)]
    won = [row for _, row in held.iterrows() if ends(row, CLAIM)[0] > 0]
    beaten = [f"{r['b']} on {r['dataset']} (`{r['a']}`: {printed(r['metric'])} {_bold(r)})" for r in won]
    sentence = (
        f"Of {len(claims)} comparisons MetaBalance is ahead by its interval in {above} and behind in {below} "
        f"({surely_above} and {surely_below} surely, †). Of early-stopped plain training (`none`) and XGBoost "
        f"it is ahead of: {'; '.join(beaten) or 'neither, on no set'}. Under `strict`, all at their defaults, which "
        "were set on validation parts (results/LOG.md) and not tuned per data set. MetaBalance less the rival, on runs "
        "that both have:"
    )
    datasets = list(dict.fromkeys(claims["dataset"]))
    rows = []
    for (arm, rival, metric), group in _by(claims, "a", "b", "metric"):
        cell = {row["dataset"]: _bold(row) for _, row in group.iterrows()}
        rows.append([arm, rival, printed(metric), *(cell.get(dataset, "–") for dataset in datasets)])
    title = "## Where does MetaBalance beat early-stopped training and XGBoost?"
    return [title, "", sentence, "", *markdown_table(["arm", "rival", "metric", *datasets], rows)]


def _tuned(claims: pd.DataFrame) -> list[str]:
    sentences = ["Each arm as `bench study` tuned it for each fold, on that fold's training rows alone."]
    plain = "tuned plain training (`none`, whose positives may be weighted)"
    for rival, words in (("xgboost", "tuned XGBoost"), ("none", plain)):
        group = claims[claims["b"] == rival]
        if len(group):
            above, below, surely_above, surely_below = counts(group)
            sentences.append(
                f"Tuned MetaBalance is ahead of {words} by its interval in {above} of {len(group)} comparisons and "
                f"behind in {below} ({surely_above} and {surely_below} surely, †)."
            )
    sentences.append(
        "Its inner and outer rows were left as they are or resampled, in four steps up to equal classes, by "
        f"{', '.join(_STUDIED)}: SVM-SMOTE, which the paper used within, and the other slow ones were not open "
        "to it. "
        "How many trials and seconds each had: `tuned/*-ledger.md`; every arm beside its default: "
        "`leaderboards/*-tuned.md`. Tuned MetaBalance less the tuned rival:"
    )
    datasets = list(dict.fromkeys(claims["dataset"]))
    rows = []
    for (rival, metric), group in _by(claims, "b", "metric"):
        cell = {row["dataset"]: _bold(row) for _, row in group.iterrows()}
        rows.append([rival, printed(metric), *(cell.get(dataset, "–") for dataset in datasets)])
    title = "## Does tuned MetaBalance beat tuned XGBoost, or tuned plain training?"
    return [title, "", " ".join(sentences), "", *markdown_table(["rival", "metric", *datasets], rows)]


def _bayes(claims: pd.DataFrame) -> list[str]:
    lines = [
        "## How far from the best possible?",
        "",
        "On simulated sets P(y = 1 | x) is known: what an arm lacks of it in average precision and in ROC-AUC.",
    ]
    for (dataset,), group in _by(claims, "dataset"):
        cell = {
            (row["b"], row["metric"]): interval(row["mean"], *ends(row, CLAIM)) for _, row in group.iterrows()
        }
        arms = group[group["metric"] == "average_precision"].sort_values(["mean", "b"])["b"]
        rows = [[arm, *(cell[arm, metric] for metric in reversed(PAPER_METRICS))] for arm in arms]
        head = ["arm", *(printed(metric) for metric in reversed(PAPER_METRICS))]
        lines += ["", f"### {dataset}", "", *markdown_table(head, rows)]
    return lines


def _ran(tables: Tables, sweeps: Tables) -> list[str]:
    rows = [
        _ran_row(f"{where}{dataset}", protocol, table)
        for where, its_tables in (("", tables), ("alpha/", sweeps))
        for dataset, by_protocol in its_tables.items()
        for protocol, table in by_protocol.items()
    ]
    head = ["data set", "protocol", "arms", "runs", "failed", "seeds", "device/engine", "training hours"]
    lines = ["## What was run", "", *markdown_table(head, rows)]
    real = [name for name in dataset_names() if card(name).simulator is None and name not in tables]
    for name in real:
        command = f"`bench run --dataset {name} --matrix core --seeds 10`"
        lines += [
            "",
            f"{name} is not here; for whoever has the file, or can fetch it, it is one command: {command}.",
        ]
    return lines


def _ran_row(name: str, protocol: str, table: Measured) -> list[str]:
    records = [record for its_records in table.records.values() for record in its_records]
    good = [record for record in records if record.status == OK]
    seeds = sorted({len({record.seed for record in its_records}) for its_records in table.records.values()})
    engines = sorted({f"{record.device}/{record.engine}" for record in good if record.engine})
    hours = sum((record.fit_seconds or 0.0) + (record.resample_seconds or 0.0) for record in good) / 3600
    words = (" to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))), ", ".join(engines))
    numbers = (len(table.records), len(records), len(records) - len(good))
    return [name, protocol, *map(count, numbers), *words, number(hours, digits=2)]


def _by(claims: pd.DataFrame, *names: str) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    for key, group in claims.groupby(list(names), sort=False):
        yield tuple(map(str, key)), group


def _most(claims: pd.DataFrame, by: pd.Series[float]) -> Row:
    return claims.iloc[int(np.argmax(by))]


def _texts(claims: pd.DataFrame) -> list[str]:
    return [str(n) for n in counts(claims)]


def _words(row: Row) -> str:
    return delta(row, CLAIM, digits=4)


def _bold(row: Row) -> str:
    text = f"**{_words(row)}**" if clear(*ends(row, CLAIM)) else _words(row)
    return text + ("†" if sure_claim(row) else "")
