"""One Signer seam, three keys: software.py, native.py (C module of the port), atecc608.py (secure element)."""
