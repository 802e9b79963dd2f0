"""How the name of an arm is spelled, and read: `BASE[SAMPLER](FIELD=VALUE,…)(tuned)`. The one parser of such names.

`BASE[INNER/OUTER]` names two samplers, `smote:0.5` is SMOTE up to that ratio of the classes, and `none` within
brackets is the rows as they are. A name that is not spelled so is a base as a whole.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bench.contract import Arm
from bench.names import ANYWAY, TUNED, Spelling

_SETTINGS = re.compile(r"([^()]+)((?:\([^()]*\))+)")
_SAMPLERS = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")


def parse(name: str) -> Spelling:
    """Return the parts of an arm's name; put together again they are the name."""
    mark = next((mark for mark in (TUNED, ANYWAY) if name.endswith(mark) and name != mark), "")
    rest, settings = name.removesuffix(mark), ()
    if with_settings := _SETTINGS.fullmatch(rest):
        rest, settings = with_settings[1], tuple(with_settings[2][1:-1].split(")("))
    if with_samplers := _SAMPLERS.fullmatch(rest):
        return Spelling(with_samplers[1], tuple(with_samplers[2].split("/")), settings, mark)
    return Spelling(rest, (), settings, mark)


def is_tuned(name: str) -> bool:
    """Return whether the name is marked as that of a tuned arm, on its own rows or on others."""
    return bool(parse(name).mark)


def respelled(arm: Arm, spelling: Spelling) -> Arm:
    """Return the arm under the name that the spelling is."""
    return replace(arm, name=str(spelling), spelling=spelling)


def marked(arm: Arm, mark: str) -> Arm:
    """Return the arm with the mark of a tuned one behind its name."""
    return respelled(arm, replace(arm.spelling, mark=mark))
