"""The defects of the existing system and the files with their tests.

The name of a test contains `defect_` and the number of the defect in the contract. A test fails if its defect is
introduced again.

| defect | description | tests |
|---|---|---|
| 1 | providers came from a process-wide configuration | test_defects_isolation |
| 2 | one shared cache, without the model in its key | test_defects_isolation |
| 3 | an incomplete key of the workflow cache | test_defects_isolation |
| 4 | a failure led to a global client | test_defects_isolation |
| 5 | an explicit router was ignored | test_defects_isolation |
| 6 | the quality tier overrode a pinned provider | test_defects_isolation |
| 7 | coordinators kept the state of a run, threads and hooks | test_defects_isolation |
| 8 | progress was broadcast to every listener | test_defects_isolation |
| 9 | the critic counted lines | test_defects_agents |
| 10 | replies matched by position | test_defects_agents |
| 11 | invented ideas, failures reported as success | test_defects_workflow |
| 12 | the number of ideas was not in the prompt | test_defects_workflow |
| 13 | no fallback on 429 and 5xx, retries of permanent errors | test_defects_workflow |
| 14 | a timeout cancelled nothing and lost all results | test_defects_workflow |
| 15 | max_concurrent_agents had no effect | test_defects_workflow |
| 16 | a rating was dropped, an extra call per idea | test_run_reasoning, test_agents_reasoning, agents_reasoning |
| 17 | the skeptic never saw the advocacy | test_defects_agents |
| 18 | placeholders passed, one idea seen | test_run_reasoning, test_agents_reasoning, agents_reasoning, inference |
| 19 | similarity by words, headings in English | test_workflow_languages, test_duplicates, similarity |
| 20 | tokens and prices mixed | test_defects_workflow |
| 21 | pages were never fetched, addresses were not checked properly | test_webpages, fetch, address |
| 22 | a temperature of 0.0 counted as unset | test_defects_agents |
| 23 | importing had side effects | test_defects_isolation |
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| .+ \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"\bfn (?:test_)?defect_(\d+)_|\bdef test_defect_(\d+)_")


def test_the_table_matches_the_tests() -> None:
    assert __doc__ is not None
    listed = {(int(number), name) for number, names in ROW.findall(__doc__) for name in names.split(", ")}
    assert {number for number, _ in listed} == set(range(1, 24))
    found = set()
    for folder, kind in (("tests", "py"), ("tests", "rs"), ("src", "rs")):
        for path in (ROOT / folder).rglob(f"*.{kind}"):
            # Tests of a Rust module are in the module or in `tests.rs` in its folder.
            name = path.parent.name if path.name == "tests.rs" else path.stem
            found |= {(int(rust or python), name) for rust, python in NAMED.findall(path.read_text("utf-8"))}
    assert found == listed
