"""How an owner behaves when a line comes near: exposures, their outcomes, and a score of them."""
