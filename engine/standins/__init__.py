"""Stand-ins for Pulumi's provider plugins, for machines that reach package registries only.

`python -m engine.standins.docker` (or `docker_build`, `random`, `aws`) is a provider plugin: it prints its port and
serves Pulumi's ResourceProvider protocol. The docker ones really act on the local Docker daemon; aws keeps state only.
Each says on every run that it is a stand-in.
"""
