"""`python -m backtape.cli`, where the `backtape` script is not on the path."""

from backtape.cli.app import main

if __name__ == "__main__":
    main()
