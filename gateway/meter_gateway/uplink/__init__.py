"""Where verified readings leave the gateway, in order per meter, at least once, never holding up ingest."""
