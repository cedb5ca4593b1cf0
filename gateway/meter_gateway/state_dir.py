"""What lies in the gateway's state directory, by name."""

from pathlib import Path

from meter_gateway.config import GatewayConfig


def store_path(config: GatewayConfig) -> Path:
    """The SQLite store; its lock and its write-ahead log lie beside it."""
    return config.gateway.state_dir / "gateway.sqlite"


def status_path(config: GatewayConfig) -> Path:
    """What the running gateway last said of itself (status.py)."""
    return config.gateway.state_dir / "status.json"


def parameters_dir(config: GatewayConfig) -> Path:
    """Sealed parameter sets on their way to meters (delivery.py)."""
    return config.gateway.state_dir / "parameters"


def restored_path(config: GatewayConfig) -> Path:
    """Marks a store that came from a backup, until the meters have been asked for what it lacks (backup.py)."""
    return config.gateway.state_dir / "restored"


def comparisons_dir(config: GatewayConfig) -> Path:
    """Comparisons that are under way (in_situ.run_state); finished ones lie in the configured folder."""
    return config.gateway.state_dir / "comparisons"
