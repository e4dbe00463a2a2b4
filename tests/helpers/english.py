"""Phrases that readers should not meet: each with what to write instead.

Readers are engineers who know data sheets, papers and the NumPy documentation. The list contains
literary turns, translated idioms and everyday words for which the field has a term.
"""

import re

_UNITS = "bytes|ohm|ns|us|ms|pJ|pulses|seconds|rows?|reads?|numbers|polynomials?|curves?|updates"
_COUNTED = "cell|segment|pulse|point|message|chip|second|weight|feature|device|loop|sweep|cycle"

# Regular expression (case is ignored, a space matches any white space): what to write instead.
DISCOURAGED = {
    r"mend(s|ed|ing)?": "fix",
    r"a(new|fresh)": "again, new, from scratch",
    r"(is|are|was|were) there already|(is|are|was|were) already there": "already exists",
    r"(go|goes|went|going|gone) on": "continue, resume",
    r"(can|could|cannot|to) be had": "is available, is possible",
    r"strangers?": "untrusted",
    r"stillborn": "never initialised",
    r"anew": "again, from scratch",
    r"begun": "started",
    r"told": "stated, specified",
    r"for ?ever": "indefinitely",
    r"by degrees": "gradually",
    r"in part": "partially",
    r"in a line": "in one line",
    r"(say|says|said|saying) so": "reports it, states it",
    r"as many( \w+)? as you (like|want)": "any number of",
    r"hunger": "memory use",
    r"(?<!colour-)blind(ly)?": "open loop",
    r"hoped?( for)?": "expected",
    r"turn(s|ed|ing)?( it)? over": "explore",
    r"rooms?": "subpackage, memory, free space",
    r"houses?": "project",
    r"waist": "interface",
    r"beside": "compared with, next to, in addition to",
    r"the very same": "the same",
    r"may become": "limits of",
    r"in (its|their|your|our) own words": "the fact itself",
    r"as a person says it": "as text",
    r"at hand": "current, available",
    r"(written|put) aside": "under a temporary name, renamed",
    r"pass(es|ed)? over": "skip",
    rf"({_UNITS}) an? ({_COUNTED})": "per",
    r"(?-i:(MOST|FEWEST|LONGEST|SHORTEST)_\w+)": "MAX_, MIN_",
}
_ANY = re.compile(
    "|".join(rf"\b(?:{phrase})\b".replace(" ", r"\s+") for phrase in DISCOURAGED), re.IGNORECASE
)


def discouraged(text: str) -> list[str]:
    """Return the discouraged phrases in a text, each with its line number and the alternative."""
    found = []
    for match in _ANY.finditer(text):
        line = text[: match.start()].count("\n") + 1
        phrase = " ".join(match[0].split())
        instead = next(
            better
            for pattern, better in DISCOURAGED.items()
            if re.fullmatch(pattern, phrase, re.IGNORECASE)
        )
        found.append(f"line {line}: {phrase!r}; write: {instead}")
    return found
