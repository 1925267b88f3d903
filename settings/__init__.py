"""What a stack sets: the models, every check that needs no cloud, and how a refusal reads."""
