"""The workbench, at which a process runs packs, and the device that it runs them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch

from bench.contract import PlannedRun, Progress, Result
from bench.errors import BadSetting, UnknownName
from bench.names import DEVICES
from bench.runs.evaluate import run_pack
from bench.runs.materials import Materials
from bench.runs.run import Run


@dataclass
class Workbench(Materials):
    """The materials of a benchmark, and how a pack is run with them (`bench.contract.Bench`)."""

    def run_pack(self, runs: Sequence[PlannedRun], progress: Progress) -> list[Result]:
        """Run one pack and write every run's record (`bench.runs.evaluate.run_pack`)."""
        return run_pack(self, cast("Sequence[Run]", runs), progress)  # `bench.runs.run.plan` plans no others


def choose_device(asked: str) -> str:
    """Return "cpu" or "cuda" for auto, cpu or cuda.

    Raises UnknownName for another word, BadSetting for cuda where there is no such device.
    """
    if asked not in DEVICES:
        raise UnknownName("device", asked, DEVICES)
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise BadSetting(
            f"--device cuda was asked, but torch {torch.__version__} finds no CUDA device here. Use --device auto "
            "or cpu, or install a CUDA build of torch on a machine with a GPU (bench doctor shows both)."
        )
    return "cuda" if asked != "cpu" and available else "cpu"
