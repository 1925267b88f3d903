"""Refuses to go on where an environment is not protected: protection.py <environment> branches [reviewers].

GitHub makes an environment that a workflow names and that is not there, without any protection; and every branch's
workflow may name every environment that does not choose its branches.
"""

from github_api import GitHub, RefusedError, run

_REMEDY = "Settings, Environments, {name}: {what} (docs/ci.md)."
_WANTED = ("branches", "reviewers")


def require(github: GitHub, arguments: list[str]) -> None:
    """Raise RefusedError unless the environment has what is wanted of it."""
    name, *wanted = arguments or [""]
    if not name or not wanted or not set(wanted) <= set(_WANTED):
        raise RefusedError(f"Given was {arguments}; wanted are an environment and some of {' '.join(_WANTED)}.")
    every = github.get("environments?per_page=100").get("environments", [])
    found = next((each for each in every if each["name"] == name), None)
    if found is None:
        remedy = _REMEDY.format(name=name, what="New environment")
        raise RefusedError(f"The environment {name} is not set up, and would protect nothing. {remedy}")
    if "branches" in wanted and not found.get("deployment_branch_policy"):
        remedy = _REMEDY.format(name=name, what="Deployment branches and tags, main only")
        raise RefusedError(f"The environment {name} may be deployed from every branch. {remedy}")
    rules = found.get("protection_rules") or []
    asks = any(each.get("type") == "required_reviewers" and each.get("reviewers") for each in rules)
    if "reviewers" in wanted and not asks:
        remedy = _REMEDY.format(name=name, what="Required reviewers")
        raise RefusedError(f"The environment {name} has no required reviewers: an update would ask nobody. {remedy}")
    print(f"{name} is protected: {', '.join(wanted)}.")


if __name__ == "__main__":
    run(require)
