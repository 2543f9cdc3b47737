"""`python -m standpipe`: the command `standpipe`."""

from standpipe.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
