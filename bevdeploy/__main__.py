"""`python -m bevdeploy` is `bevdeploy`."""

from bevdeploy.cli import main

if __name__ == "__main__":
    main()
