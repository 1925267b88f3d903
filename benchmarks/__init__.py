"""What is measured, against what a user would use instead, and the last results."""
