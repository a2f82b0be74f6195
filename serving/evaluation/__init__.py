"""Pure: from an account and a market to margin, forecast, reasons and plan."""
