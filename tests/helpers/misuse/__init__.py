"""Every public callable with arguments that it was not made for: one clear line, or it works."""
