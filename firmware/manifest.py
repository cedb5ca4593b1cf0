# What a board freezes of this project: a board's own manifest.py includes this file, and updates and the files for
# an official image are built from it, too (meter_tools.boards.frozen). Of the protocol that is what a board's own
# modules import; the rest is for gateways.
package(
    "meter_protocol",
    files=(
        "__init__.py",
        "cbor.py",
        "chain.py",
        "cose.py",
        "errors.py",
        "events.py",
        "fields.py",
        "first_contact.py",
        "first_contact_schema.py",
        "framing.py",
        "keys.py",
        "messages.py",
        "quantity_codes.py",
        "rules.py",
        "schema.py",
        "topics.py",
        "types.py",
    ),
    base_path="../protocol",
)
package("meter_sampling", base_path=".")
package("meter_firmware", base_path=".")
package("meter_loader", base_path=".")
