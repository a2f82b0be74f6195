"""What people read: words by language, and figures as people write them."""
