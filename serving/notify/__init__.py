"""From the outbox to receivers: channels, messages, links, and whether all of it lives."""
