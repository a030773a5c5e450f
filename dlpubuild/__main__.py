"""`python -m dlpubuild`."""

from dlpubuild.cli import main

if __name__ == "__main__":
    main()
