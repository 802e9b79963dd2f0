"""Arms: what may be a row of a table, how it is spelled, and the matrices."""
