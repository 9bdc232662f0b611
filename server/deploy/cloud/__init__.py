"""Apps on fal: changed through a worker without a key, read through fal's platform API."""
