"""What may be asked: one file per tool, no protocol, no network."""
