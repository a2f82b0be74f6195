"""The API for agents: an MCP server whose tools ask the API's own read operations."""
