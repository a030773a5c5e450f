"""What a build leaves: the members of a package, its archive, and the folder they are written to."""
