"""Which test stands for which defect of the existing system.

A test names the defect that it is about: `defect_` and its number in the contract. Each fails when the defect is put
back.

| defect | what it was | tests |
|---|---|---|
| 1 | providers of the process-wide configuration | test_defects_isolation |
| 2 | one cache for all, without the model in its key | test_defects_isolation |
| 3 | a workflow cache key that left out half | test_defects_isolation |
| 4 | a global client after a failure | test_defects_isolation |
| 5 | an explicit router that was ignored | test_defects_isolation |
| 6 | the quality tier left a pinned provider | test_defects_isolation |
| 7 | coordinators kept the state of a run, threads and hooks | test_defects_isolation |
| 8 | progress went to everybody | test_defects_isolation |
| 9 | the critic counted lines | test_defects_agents |
| 10 | replies matched by position | test_defects_agents |
| 11 | invented ideas, failures as success | test_defects_workflow |
| 12 | the number of ideas was not in the prompt | test_defects_workflow |
| 13 | no fallback on 429 and 5xx, mistakes repeated | test_defects_workflow |
| 14 | a timeout stopped nothing and lost everything | test_defects_workflow |
| 15 | max_concurrent_agents had no effect | test_defects_workflow |
| 16 | a rating was dropped, one more call for each idea | test_run_reasoning, test_agents_reasoning, agents_reasoning |
| 17 | the skeptic never saw the advocacy | test_defects_agents |
| 18 | placeholders passed, one idea was seen | test_run_reasoning, test_agents_reasoning, agents_reasoning, inference |
| 19 | similarity by words, headings in English | test_workflow_languages, test_duplicates, novelty |
| 20 | tokens and prices mixed | test_defects_workflow |
| 21 | pages never fetched, addresses checked badly | test_webpages, fetch, address |
| 22 | a temperature of 0.0 counted as unset | test_defects_agents |
| 23 | importing did things | test_defects_isolation |
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| .+ \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"\bfn (?:test_)?defect_(\d+)_|\bdef test_defect_(\d+)_")


def test_the_table_is_whole_and_true() -> None:
    assert __doc__ is not None
    told = {(int(number), name) for number, names in ROW.findall(__doc__) for name in names.split(", ")}
    assert {number for number, _ in told} == set(range(1, 24))
    found = set()
    for folder, kind in (("tests", "py"), ("tests", "rs"), ("src", "rs")):
        for path in (ROOT / folder).rglob(f"*.{kind}"):
            # The tests of a Rust module stand in it, or in `tests.rs` in its folder.
            name = path.parent.name if path.name == "tests.rs" else path.stem
            found |= {(int(rust or python), name) for rust, python in NAMED.findall(path.read_text("utf-8"))}
    assert found == told
