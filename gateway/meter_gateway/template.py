"""The gateway.toml that `carbonmeter gateway init` writes: the fewest settings that run, the others commented."""

CONFIGURATION = """\
# The gateway's configuration. Paths are relative to this file; docs/configuration.md explains every key.
# After a change: carbonmeter doctor, then restart the gateway.

[gateway]
name = "my gateway"
state_dir = "state"            # the store; give it a disk that you back up
scheme = "house"               # which findings keep a reading from being accepted

[keys]                         # private, mode 0600; the .pub.pem beside each is for parameter sets and auditors
receipt = "keys/receipt.pem"
verdict = "keys/verdict.pem"
clock = "keys/clock.pem"

[clock]
trusted = false                # true only if this host's clock is kept by NTP, PTP or GNSS
uncertainty_ms = 1000          # how wrong it can be then

[[listener]]                   # meters behind a broker
type = "mqtt"
host = "127.0.0.1"
port = 1883
# username = "gateway"
# password_file = "mqtt.password"
# tls = true
# ca_file = "broker-ca.pem"

# [[listener]]                 # a meter on a serial line
# type = "serial"
# port = "/dev/ttyUSB0"
# baud = 115200

# [[bus]]                      # a line to instruments that cannot sign, which the gateway reads itself
# name = "bus0"
# kind = "modbus"              # or "serial": DL/T 645, M-Bus, CJ/T 188
# port = "/dev/ttyUSB1"        # or tcp = "192.168.1.20:502"

# [[witness]]                  # its readings, sealed by a key of the gateway's own: carbonmeter witness add
# name = "boiler 2, gas"
# key = "keys/boiler-2.pem"

# [uplink.mqtt]                # where verified readings and their verdicts go
# host = "127.0.0.1"
# port = 1883

# [parameters]                 # whose parameter sets count
# authority_keys = ["keys/authority.pub.pem"]

# [updates]                    # whose software updates may be offered to meters
# authority_keys = ["keys/updates.pub.pem"]

# [[software]]                 # software of meters that you approve; carbonmeter doctor names what nobody approved
# id = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
# note = "esp32_s3 1.4.0, built twice and compared"

# [makers]                     # whose certificates may enrol a meter and prove its secure element
# roots = ["makers/root.pem"]
# revocation_lists = ["makers/crl.pem"]

# [certificates]               # digital certificates (DCC): where they are kept, and whose signatures count
# folder = "certificates"
# roots = ["laboratories/*.pem"]
# timestamp_roots = ["timestamps/*.pem"]

# [comparisons]                # comparisons in place: signed events, one file each
# folder = "comparisons"

# [traceability]               # certificates, and which instrument is behind which channel
# certificates = ["certificates/*.toml"]
# bindings = ["bindings.toml"]
# checks = ["checks.toml"]
# utc_offset = "+08:00"
"""
