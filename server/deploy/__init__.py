"""Serverless apps: their source, their rules, and where they run: on this machine or on fal."""
