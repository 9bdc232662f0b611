"""fal on the wire: the only room that sends a key."""
