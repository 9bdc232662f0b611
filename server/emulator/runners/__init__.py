"""What actually draws, sings and moves."""
