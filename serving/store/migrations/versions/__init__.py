"""One module per revision, in a line; a released one is never changed."""
