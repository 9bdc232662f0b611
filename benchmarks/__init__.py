"""How fast and how small: programs that measure falkit beside a bare server of the same SDK."""
