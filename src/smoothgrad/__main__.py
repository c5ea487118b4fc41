"""`python -m smoothgrad` is the command `smoothgrad`."""

from smoothgrad.cli import main

if __name__ == "__main__":
    main()
