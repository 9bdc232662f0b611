"""Ways to begin: Markdown texts and the little that loads them."""
