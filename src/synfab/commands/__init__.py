"""Groups of commands of the command line; apart from what they call, which is heavy to import."""
