"""The store of large objects, such as backups: a directory, or a bucket with the S3 protocol."""
