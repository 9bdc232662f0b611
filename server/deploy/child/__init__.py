"""Programs that run other people's code: each a file alone, run by another interpreter."""
