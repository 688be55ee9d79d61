"""One request's way: supports and query in, an answer out."""
