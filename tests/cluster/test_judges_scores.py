"""kube-score and checkov over every object: no finding without a reason, and no reason without a finding."""

import pytest
from declared_manifests import Manifest
from judge_exceptions import Finding, about, exceptions, idle, unexcused
from judge_programs import checkov_findings, kube_score_findings
from judged_objects import all_sources, objects_of

pytestmark = pytest.mark.timeout(300)


def _everything() -> list[Manifest]:
    """Every object once: two stacks may have objects of the same name, which would be told apart by nobody."""
    seen: dict[tuple[str, str, str], Manifest] = {}
    for source in all_sources():
        for manifest in objects_of(source):
            metadata = manifest["metadata"]
            seen.setdefault((manifest["kind"], metadata.get("namespace", ""), metadata["name"]), manifest)
    return list(seen.values())


def _weakened() -> Manifest:
    """A Deployment that no judge may let pass."""
    pool = next(each for each in objects_of("composed") if about(each) == "Deployment pool")
    spec = pool["spec"]["template"]["spec"]
    container = {**spec["containers"][0], "securityContext": {"privileged": True}}
    template = {**pool["spec"]["template"], "spec": {**spec, "containers": [container]}}
    metadata = {**pool["metadata"], "name": "weakened"}
    return {**pool, "metadata": metadata, "spec": {**pool["spec"], "template": template}}


def _apart(found: list[Finding]) -> dict[bool, list[Finding]]:
    return {weak: [each for each in found if each.title.endswith("/weakened") == weak] for weak in (True, False)}


# Both judge the weakened one along with the rest, because most of their time is their start.
@pytest.fixture(scope="module")
def kube_score(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, list[Finding]]:
    """kube-score's findings: of the weakened object, and of all others."""
    return _apart(kube_score_findings([*_everything(), _weakened()], tmp_path_factory.mktemp("kube-score")))


@pytest.fixture(scope="module")
def checkov(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, list[Finding]]:
    """Checkov's findings: of the weakened object, and of all others."""
    return _apart(checkov_findings([*_everything(), _weakened()], tmp_path_factory.mktemp("checkov")))


def test_kube_score_finds_nothing_that_has_no_reason(kube_score: dict[bool, list[Finding]]) -> None:
    """A weakness that somebody else's rules know would ship unseen."""
    assert not unexcused(kube_score[False])


def test_checkov_finds_nothing_that_has_no_reason(checkov: dict[bool, list[Finding]]) -> None:
    """A weakness that somebody else's rules know would ship unseen."""
    assert not unexcused(checkov[False])


def test_a_weakened_pod_is_found(kube_score: dict[bool, list[Finding]], checkov: dict[bool, list[Finding]]) -> None:
    """A judge that is called wrongly finds nothing, and looks content."""
    assert unexcused(kube_score[True])
    assert unexcused(checkov[True])


def test_no_exception_outlives_what_it_excuses(
    kube_score: dict[bool, list[Finding]], checkov: dict[bool, list[Finding]]
) -> None:
    """It would hide the next finding of its rule."""
    assert not idle("kube-score", kube_score[False]) + idle("checkov", checkov[False])


def test_every_exception_has_a_reason_and_a_judge() -> None:
    """A list of exceptions without reasons only ever grows."""
    for each in exceptions():
        assert each.judge in ("kube-score", "checkov")
        assert len(each.reason.split()) >= 8, f"{each.rule} has no reason"
