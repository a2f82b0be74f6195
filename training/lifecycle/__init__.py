"""A bundle's life: published, shadowed, promoted, watched for drift, trained anew."""
