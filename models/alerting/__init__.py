"""When an account's owner is told what: pure functions from signals and a policy to messages."""
