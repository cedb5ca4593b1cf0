"""What surrounds the meter and the gateway on a workbench: checks, simulators, the demo, the benchmark."""
