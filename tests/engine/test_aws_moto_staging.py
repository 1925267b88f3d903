"""The shipped stack `staging` as a whole in an emulated account."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from aws_account import account
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from stack_program import StackProgram

from engine.paths import CHECKOUT

REGION = "eu-west-1"
PROGRAM = """
import sys
from datetime import date
from pathlib import Path
import yaml
root = Path(%(root)r)
sys.path.insert(0, str(root))
from architectures import queue
from settings.load import from_mapping
given = yaml.safe_load((root / "Pulumi.staging.yaml").read_text())["config"]["agent-fleet:fleet"]
given["entrance"]["certificate_arn"] = %(certificate)r
given["aws"]["deletion_protection"] = False
queue.deploy("agent-fleet-probe", from_mapping(given, stack="test", today=date(2026, 11, 21)))
"""


def certificate(url: str) -> str:
    """The ARN of a certificate in the account: a listener takes no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "staging.fleet.example.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=7))
        .sign(key, hashes.SHA256())
    )
    acm = boto3.client(
        "acm", region_name=REGION, endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test"
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    given = acm.import_certificate(Certificate=made.public_bytes(serialization.Encoding.PEM), PrivateKey=plain)
    return str(given["CertificateArn"])


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_all_of_staging_is_made_unchanged_by_a_second_run_and_removed(
    stack: StackProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack that only ever was previewed fails at the first resource that AWS judges by more than its type."""
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    with account() as aws:
        stack.environment["AWS_ENDPOINT_URL"] = aws.url
        stack.write(PROGRAM % {"root": str(CHECKOUT), "certificate": certificate(aws.url)})
        made = stack.up().succeeded().changes["created"]
        assert made > 90
        assert stack.up("--refresh").succeeded().changes == {"unchanged": made}
        groups = boto3.client(
            "autoscaling",
            region_name=REGION,
            endpoint_url=aws.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        ).describe_auto_scaling_groups()["AutoScalingGroups"]
        assert len(groups) == 3
        assert stack.destroy().succeeded().changes == {"deleted": made}
