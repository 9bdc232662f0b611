"""A fal-compatible platform as code over a folder: queue, storage, and runners that make media."""
