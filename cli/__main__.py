"""`python -m cli` is `holdstill`."""

from cli.app import main

if __name__ == "__main__":
    main(prog_name="holdstill")
