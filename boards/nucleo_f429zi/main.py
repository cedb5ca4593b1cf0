from meter_loader import start

start()
