"""AWS: the only places that hold a boto3 client."""
