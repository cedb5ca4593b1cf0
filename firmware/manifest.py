# What a board freezes of this project; a board's own manifest.py includes this file.
package("meter_protocol", base_path="../protocol")
package("meter_sampling", base_path=".")
package("meter_firmware", base_path=".")
package("meter_loader", base_path=".")
