"""Apps that run on this machine, behind the emulator's hosts."""
