"""What a file is, and a small picture of it."""
