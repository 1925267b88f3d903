"""What `make up` does where a change would take something protected away: nothing, on the real engine."""

import pytest
from stack_program import StackProgram

from engine.preview import update_plan

PROGRAM = """
import pulumi
import pulumi_random as random
kept = random.RandomPassword("kept", length=20, opts=pulumi.ResourceOptions(protect=True))
random.RandomPassword("host", length=20, keepers={"on": kept.id})
"""
OTHER = "import pulumi_random as random\nrandom.RandomPassword('another', length=20)\n"


@pytest.mark.parametrize("protected", [True, False])
def test_what_goes_with_a_protected_disk_stays_when_the_disk_does(stack: StackProgram, protected: bool) -> None:
    """From vm to queue the host and its secret were gone before the engine refused to delete the data disk."""
    stack.write(PROGRAM)
    stack.up().succeeded()
    stack.write(OTHER)
    outcome = stack.run("up", *update_plan.arguments(None, refresh=False, protected=protected)).failed()
    assert "cannot be deleted" in outcome.text
    there = stack.run("stack", "--show-urns").succeeded().text
    assert ("::host" in there, "::another" in there) == ((True, False) if protected else (False, True))
