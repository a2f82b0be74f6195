"""Accounts of exchanges, read through keys that can only read, or by an address alone.

ccxt signs and sends; what an exchange says is read from its own JSON, numbers as exact text.
"""
