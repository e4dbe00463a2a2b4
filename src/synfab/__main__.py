"""``python -m synfab`` is the command ``synfab``."""

from synfab_command import main

if __name__ == "__main__":
    main()
