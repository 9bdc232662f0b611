"""What exists and what it costs: cards, schemas, prices, search."""
