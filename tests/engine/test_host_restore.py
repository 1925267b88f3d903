"""What docs/vm.md says of a restored disk, on the real engine with the stand-in that keeps state only."""

import re
from pathlib import Path

import pytest
from stack_program import StackProgram
from test_host_on_the_engine import operations, program

CHECKOUT = Path(__file__).parent.parent.parent
_NEW = "vol-0123456789abcdef0"


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_restored_disk_takes_the_place_of_the_old_one(stack: StackProgram) -> None:
    """An import beside the component would be deleted by the next run, and an empty disk be made in its place."""
    recipe = re.search(r"grep -o '(.*)'\)", (CHECKOUT / "docs" / "vm.md").read_text())
    assert recipe
    stack.write(program())
    stack.up().succeeded()
    urns = re.findall(recipe[1], stack.run("stack", "--show-urns").succeeded().text)
    assert len(urns) == 1
    stack.run("destroy", "--yes", "--skip-preview", "--target", urns[0]).succeeded()

    exported = stack.run("stack", "export").succeeded().text
    (old,) = set(re.findall(r'"id": "(vol-[0-9a-f]+)"', exported))
    state = stack.folder / "state.json"
    state.write_text(exported.replace(old, _NEW))
    stack.run("stack", "import", "--file", str(state)).succeeded()

    outcome = stack.up().succeeded()
    assert not [each for each in operations(outcome.text) if each.startswith("Volume ")]
    after = stack.run("stack", "export").succeeded().text
    assert old not in after
    assert f'"volumeId": "{_NEW}"' in after
    assert set(stack.preview().succeeded().changes) == {"unchanged"}
