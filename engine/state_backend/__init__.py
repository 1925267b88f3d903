"""The state of the AWS stacks: a bucket on S3, and the key that encrypts the secrets in it."""
