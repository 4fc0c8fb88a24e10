"""Dependencies of generated platforms: environments shared by content."""

from engine.runtime.dependencies.cache import DependencyCache, Environment
from engine.runtime.dependencies.lock import Lock
from engine.runtime.dependencies.npm import PackageCache, Packages
from engine.runtime.dependencies.uv import Source

__all__ = ["DependencyCache", "Environment", "Lock", "PackageCache", "Packages", "Source"]
