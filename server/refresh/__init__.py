"""Bring the catalog up to what fal says now."""
