"""Starts the kubernetes stand-in as the plugin that the engine asked for."""

from engine.standins.kubernetes.provider import KubernetesStandIn
from engine.standins.server import serve

if __name__ == "__main__":
    serve(KubernetesStandIn)
