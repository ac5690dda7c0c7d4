"""What follows for a person: advice under constraints, and what people say held against the data."""
