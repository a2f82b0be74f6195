"""The desk: pages that show the book, one account and why, drawn from the API by the browser."""
