"""Data in and out: exchanges, tables, forecasts and history for training."""
