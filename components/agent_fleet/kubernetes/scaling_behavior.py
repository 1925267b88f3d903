"""How fast a pool grows and shrinks: the figures of H4, written once for both kinds of autoscaler."""

from typing import Any

SCALE_DOWN_STABILIZATION_SECONDS = 300
SCALE_DOWN_PERCENT = 10
SCALE_DOWN_PERIOD_SECONDS = 60
SCALE_UP_STABILIZATION_SECONDS = 60
SCALE_UP_PERCENT = 50
SCALE_UP_PERIOD_SECONDS = 30


def pool_behavior() -> dict[str, Any]:
    """The `behavior` of an autoscaling/v2 HorizontalPodAutoscaler, with which a pool of any size can move.

    Beside each percentage stands one pod, and the larger of the two counts: a tenth of nine replicas is none.
    """
    return {
        "scaleDown": _rules(SCALE_DOWN_STABILIZATION_SECONDS, SCALE_DOWN_PERCENT, SCALE_DOWN_PERIOD_SECONDS),
        "scaleUp": _rules(SCALE_UP_STABILIZATION_SECONDS, SCALE_UP_PERCENT, SCALE_UP_PERIOD_SECONDS),
    }


def sandbox_behavior() -> dict[str, Any]:
    """As the pool's, but growing at once: a job that waits for a sandbox waits for all of the window."""
    return {
        "scaleDown": _rules(SCALE_DOWN_STABILIZATION_SECONDS, SCALE_DOWN_PERCENT, SCALE_DOWN_PERIOD_SECONDS),
        "scaleUp": _rules(0, 100, SCALE_UP_PERIOD_SECONDS),
    }


def _rules(window_seconds: int, percent: int, period_seconds: int) -> dict[str, Any]:
    return {
        "stabilizationWindowSeconds": window_seconds,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Percent", "value": percent, "periodSeconds": period_seconds},
            {"type": "Pods", "value": 1, "periodSeconds": period_seconds},
        ],
    }
