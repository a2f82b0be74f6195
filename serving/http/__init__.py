"""The API as a whole: admission, operations, problems, the document, what is counted."""
