"""`python -m costspan`: the command line of this Python, where the PATH leads to none or to another."""

from costspan.cli import main

if __name__ == "__main__":
    main()
