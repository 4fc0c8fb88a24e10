"""Servers of generated platforms: started in a sandbox, watched, restarted, reachable."""

from engine.runtime.processes.log import RotatingLog
from engine.runtime.processes.spec import Address, Instance, ProcessSpec, RestartPolicy, State
from engine.runtime.processes.supervisor import Supervisor

__all__ = [
    "Address",
    "Instance",
    "ProcessSpec",
    "RestartPolicy",
    "RotatingLog",
    "State",
    "Supervisor",
]
