"""Accounts read where they live: chains through JSON-RPC, exchanges through read-only keys.

Reads only. Nothing is signed, and no private key is ever asked for.
"""
