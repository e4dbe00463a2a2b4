"""``python -m synfab`` is the command ``synfab``."""

from synfab.cli import main

if __name__ == "__main__":
    main()
