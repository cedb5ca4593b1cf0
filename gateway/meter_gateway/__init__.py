"""The gateway: verifies what meters sign, judges it, keeps it and sends it on with the original bytes."""
