"""Make the bucket for models if need be, then become MLflow's server, with passwords.

Settings come from the environment: DATABASE (a URI), BUCKET, HOST and PORT (127.0.0.1 and 5000 if unset), those of the
store (AWS_..., MLFLOW_S3_ENDPOINT_URL) and of MLflow (MLFLOW_AUTH_ADMIN_PASSWORD, MLFLOW_FLASK_SERVER_SECRET_KEY, ...).
"""

import os
import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

PATIENCE = 60  # seconds in which the store must answer


def make_bucket(name: str) -> None:
    """Create a bucket unless it is there; wait for a store that is still starting."""
    client = boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL"))
    latest = time.monotonic() + PATIENCE
    while True:
        try:
            if name not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
                client.create_bucket(Bucket=name)
            return
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > latest:
                sys.exit(f"the store at {os.environ.get('MLFLOW_S3_ENDPOINT_URL', 'AWS')} does not answer: {error}")
            time.sleep(1)


def main() -> None:
    """Start the server in the place of this process."""
    bucket = os.environ["BUCKET"]
    make_bucket(bucket)
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth",
               "--backend-store-uri", os.environ["DATABASE"], "--artifacts-destination", f"s3://{bucket}",
               "--host", os.environ.get("HOST", "127.0.0.1"), "--port", os.environ.get("PORT", "5000"),
               "--workers", os.environ.get("WORKERS", "2")]  # fmt: skip
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
