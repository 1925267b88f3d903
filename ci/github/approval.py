"""Refuses to go on where nobody has to approve a deployment: approval.py <environment>.

GitHub makes an environment that a workflow names and that is not there, without any protection.
"""

from github_api import GitHub, RefusedError, run

_REMEDY = "Settings, Environments, {name}: Required reviewers, and deployment branches (docs/ci.md)."


def require(github: GitHub, arguments: list[str]) -> None:
    """Raise RefusedError unless the environment has required reviewers and is limited to some branches."""
    if len(arguments) != 1:
        raise RefusedError(f"Given was {arguments}; wanted is one environment's name.")
    name = arguments[0]
    remedy = _REMEDY.format(name=name)
    found = next(
        (each for each in github.get("environments?per_page=100").get("environments", []) if each["name"] == name), None
    )
    if found is None:
        raise RefusedError(f"The environment {name} is not set up: an update would ask nobody. {remedy}")
    rules = found.get("protection_rules") or []
    if not any(each.get("type") == "required_reviewers" and each.get("reviewers") for each in rules):
        raise RefusedError(f"The environment {name} has no required reviewers: an update would ask nobody. {remedy}")
    if not found.get("deployment_branch_policy"):
        raise RefusedError(f"The environment {name} may be deployed from every branch. {remedy}")
    print(f"{name} has required reviewers, and is deployed from chosen branches only.")


if __name__ == "__main__":
    run(require)
