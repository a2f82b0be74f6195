"""The learned forecast: hazards, what they start from, and the bundles that hold them."""
