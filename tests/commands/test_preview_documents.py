"""What a preview writes for pull requests and programs: whole, harmless, and the same for the same preview."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from previewed_results import change, finding, result, urn

from engine.errors import UserFacingError
from engine.paths import CHECKOUT, Paths
from engine.preview import writing
from engine.preview.json_document import VERSION, json_document
from engine.preview.markdown import MOST_CHARACTERS, code, escaped, markdown
from engine.preview.result import GATE, Result, Verdict
from engine.preview.run import weakened
from engine.preview.sarif import sarif
from engine.preview.terminal import conclusion, policy_report

SCHEMA = Path(__file__).parent / "sarif_schema" / "sarif-2.1.0.json"
HOSTILE = "a|b `c` <img src=x onerror=alert(1)> **d** [e](https://evil.example) @team #12 \x1b[2J\nz </details>"
VIOLATED = result(
    [
        change("jobs"),
        change("old", "delete"),
        change("new", "replace", properties=("name", "tags"), replacing=("name",)),
    ],
    [
        finding("jobs"),
        finding("other"),
        finding("old", level="advisory"),
        finding("jobs", GATE, detail="kms-rotation: policy is unknown"),
    ],
    ["warning: mind the gap"],
)


def run(text: str) -> dict[str, Any]:
    """The only run of a SARIF document."""
    (only,) = json.loads(text)["runs"]
    return only


@pytest.mark.parametrize(
    ("of", "verdict"),
    [
        (result(counts={"same": 4}), Verdict.CLEAN),
        (result([change("jobs")]), Verdict.CHANGED),
        (result([change("jobs")], [finding("jobs", level="advisory")]), Verdict.CHANGED),
        (result(counts={"update": 1}), Verdict.CHANGED),
        (result([], [finding("jobs")], counts={"same": 4}), Verdict.VIOLATED),
        (result([], [finding("jobs", GATE)], counts={"same": 4}), Verdict.VIOLATED),
        (result([], [finding("jobs", GATE, "advisory")], counts={"same": 4}), Verdict.CLEAN),
    ],
)
def test_the_verdict_is_the_gravest_of_what_was_found(of: Result, verdict: Verdict) -> None:
    """Prevents a merge of what a mandatory rule, or the gate, refused."""
    assert of.verdict is verdict
    assert f": {verdict.value}" in conclusion(of)
    assert json.loads(json_document(of))["verdict"] == verdict.value


def test_every_format_names_each_violation_with_its_resource() -> None:
    """Prevents a red run whose reason stands in one of four places."""
    document = json.loads(json_document(VIOLATED))
    assert document["version"] == VERSION
    assert [each["urn"] for each in document["policies"]["violations"]] == [urn("jobs"), urn("other"), urn("jobs")]
    assert document["policies"]["not_judged"] == {"unlisted": 1, "listed": {"kms-rotation": 2}}
    assert [each["level"] for each in run(sarif(VIOLATED))["results"]] == ["error", "error", "error", "warning"]
    shown = "\n".join(policy_report(VIOLATED.policies))
    for text in (shown, unescape(markdown(VIOLATED))):
        for wanted in ("Queue jobs", "Queue other", "sqs-encrypted", "kms-rotation: policy is unknown"):
            assert wanted in text
    assert "2 violations, 1 property not judged and not listed, 1 advisory, 2 properties not judged before" in shown


def test_every_format_says_which_rules_the_configuration_weakens(tmp_path: Path) -> None:
    """Prevents a pull request that switches the rules off from looking as if it kept them."""
    for text in (
        json_document(VIOLATED),
        sarif(VIOLATED),
        markdown(VIOLATED),
        "\n".join(policy_report(VIOLATED.policies)),
    ):
        assert "efs-own-key" in text
        assert "advisory" in text
    path = tmp_path / "policies.json"
    path.write_text('{"all": "advisory", "a": {"enforcementLevel": "disabled"}, "b": {"maximum": 3}, "c": "mandatory"}')
    assert weakened(path) == {"all": "advisory", "a": "disabled"}


def test_a_preview_that_finds_the_same_writes_the_same_but_for_its_date() -> None:
    """Prevents comments and files that differ for nothing."""
    later = replace(VIOLATED, date=datetime(2027, 1, 2, 3, 4, tzinfo=UTC))
    assert sarif(VIOLATED) == sarif(later)
    assert markdown(VIOLATED).replace("2026-11-21 12:00", "2027-01-02 03:04") == markdown(later)
    assert json_document(VIOLATED).replace("2026-11-21T12:00", "2027-01-02T03:04") == json_document(later)


@pytest.mark.parametrize("of", [VIOLATED, result(counts={"same": 1})], ids=["violated", "clean"])
def test_sarif_is_what_its_schema_says(of: Result) -> None:
    """Prevents an upload that is refused in the middle of somebody's run."""
    document = json.loads(sarif(of))
    jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).validate(document)
    assert (document["version"], document["$schema"]) == ("2.1.0", "https://json.schemastore.org/sarif-2.1.0.json")


def test_sarif_is_what_code_scanning_takes() -> None:
    """Prevents alerts without a file, several that count as one, and one stack's upload closing another's alerts."""
    found = run(sarif(VIOLATED))
    assert found["automationDetails"]["id"] == "agent-fleet-preview/staging/"
    rules = found["tool"]["driver"]["rules"]
    for each in found["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]
        place = each["locations"][0]["physicalLocation"]
        assert place == {
            "artifactLocation": {"uri": "Pulumi.staging.yaml", "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 1},
        }
    fingerprints = [each["partialFingerprints"]["primaryLocationLineHash"] for each in found["results"]]
    assert len(set(fingerprints)) == len(fingerprints)
    again = run(sarif(result([], [finding("jobs")])))["results"]
    assert again[0]["partialFingerprints"]["primaryLocationLineHash"] == fingerprints[0]


def test_a_settings_file_is_named_as_the_repository_has_it(tmp_path: Path) -> None:
    """Prevents paths of the machine that ran it, which GitHub finds nowhere."""
    paths = Paths()
    assert writing.location(paths, "dev", CHECKOUT / "Pulumi.dev.yaml") == "Pulumi.dev.yaml"
    assert writing.location(paths, "dev", CHECKOUT / "stacks" / "a b.yaml") == "stacks/a%20b.yaml"
    assert writing.location(paths, "dev", tmp_path / "mine.yaml") == "Pulumi.dev.yaml"


def test_names_and_messages_are_text_and_nothing_else() -> None:
    """Prevents a resource's name that hides a violation, calls a team, loads an image or moves the cursor."""
    hostile = replace(
        VIOLATED,
        changes=[change(HOSTILE)],
        policies=replace(VIOLATED.policies, findings=[finding(HOSTILE, detail=HOSTILE)]),
        notices=[HOSTILE],
    )
    text = re.sub(r"&#\d+;", "_", markdown(hostile))
    for wrong in ("<img", "`c`", "**d**", "](", "@team", "#12", "\x1b", "://", "a|b"):
        assert wrong not in text, wrong
    assert text.count("</details>") == text.count("<details")
    assert re.search(r"&#64;&#8203;team &#35;&#8203;12", escaped(HOSTILE))
    assert "\x1b" not in "\n".join(policy_report(hostile.policies))


@given(st.text())
def test_any_text_stays_on_its_line_and_reads_the_same(text: str) -> None:
    """Prevents a table cut off by a character that nobody thought of."""
    for shown in (escaped(text), code(text)):
        assert "\n" not in shown
        assert not re.search(r"[|`*_~\[\]\\@#!]", re.sub(r"&#\d+;|</?code>", "", shown))
    readable = "".join(each if each.isprintable() else " " for each in text)
    assert unescape(code(text)) == f"<code>{readable}</code>"
    assert unescape(escaped(text)).replace("\u200b", "") == readable.replace("\u200b", "")


def test_a_comment_is_never_longer_than_allowed_and_keeps_what_matters_most() -> None:
    """Prevents a refused comment on the one pull request that changes everything."""
    many = result(
        [change(f"queue-{number:04}" * 3) for number in range(2_000)],
        [finding(f"broken-{number}") for number in range(20)],
    )
    text = markdown(many)
    assert len(text) <= MOST_CHARACTERS
    assert text.count("<details") == text.count("</details>")
    assert all(f"Queue broken&#45;{number}" in text or f"Queue broken-{number}" in text for number in range(20))
    assert re.search(r"- and \d+ more: preview\.json has them all", text)
    assert "<summary>Not judged before the update, and listed (1)</summary>" in text
    flood = result([change("one")], [finding(f"q{number}", detail="x" * 5_000) for number in range(500)])
    assert len(markdown(flood)) <= MOST_CHARACTERS


def test_a_report_is_written_whole_and_an_earlier_one_does_not_stay(tmp_path: Path) -> None:
    """Prevents a comment on what was true yesterday."""
    folder = tmp_path / "new" / "report"
    writing.prepare(folder)
    written = writing.write(folder, VIOLATED)
    assert sorted(path.name for path in folder.iterdir()) == ["preview.json", "preview.md", "preview.sarif"]
    assert [path.read_text() for path in written] == [markdown(VIOLATED), json_document(VIOLATED), sarif(VIOLATED)]
    (folder / "mine.txt").write_text("kept")
    writing.prepare(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_one_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    """Prevents a preview of a minute that ends without its report."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UserFacingError, match=r"REPORT is .*where no report can be written") as refused:
        writing.prepare(tmp_path / "file" / "report")
    assert "REPORT=folder" in refused.value.remedy
