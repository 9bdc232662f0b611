"""The house that serves: protocol, fal client, emulator, jobs, command line."""
