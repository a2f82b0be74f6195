"""Which collateral to post where: the program, its proof, its rounding and its order of moves."""
