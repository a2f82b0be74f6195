"""What a broker brings: prices, candles, accounts, events, state and terms, as over HTTP."""
