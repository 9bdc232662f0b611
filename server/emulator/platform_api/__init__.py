"""fal's platform API (``api.fal.ai/v1``), one module for each family of operations."""
