"""`python -m gradflip.cli`."""

from gradflip.cli._app import main

if __name__ == "__main__":
    main()
