import micropython

from meter_loader import start

# The provisioning line is the console's, and a frame may contain what a terminal sends for Ctrl-C: also while a
# new board reads its whole flash.
micropython.kbd_intr(-1)
start()
