"""What runs inside a sandbox beside the job: the runner, and how it measures."""
