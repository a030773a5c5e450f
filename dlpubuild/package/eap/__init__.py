"""The ACAP application package: an `.eap` that installs on a camera."""
