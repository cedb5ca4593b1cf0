-- Version 5: events are few among many readings and looked for at every start (signed_updates.py). 1 is an event.
CREATE INDEX event ON message (type) WHERE type = 1;
