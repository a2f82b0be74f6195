"""What people read of an evaluation: terminal, page, model card."""
