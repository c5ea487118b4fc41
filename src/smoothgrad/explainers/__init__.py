"""What turns rows into maps by itself."""
